"""HTTP and WebSocket: the hub as a Starlette application on uvicorn."""
