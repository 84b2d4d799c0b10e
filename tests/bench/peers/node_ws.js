// Node's http with the package ws: PORT=8102 node node_ws.js
// POST /pub/TOPIC, upgrade of GET /sub/TOPIC. No validation, no authentication, no bounds.
const http = require('http');
const { WebSocketServer } = require('ws');

const topics = new Map();
const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false });

function publish(topic, body, answer) {
  JSON.parse(body);
  for (const socket of topics.get(topic) || []) socket.send(body, { binary: false });
  answer.writeHead(202, { 'Content-Type': 'application/json', 'Content-Length': 2 });
  answer.end('{}');
}

function subscribe(topic, socket) {
  if (!topics.has(topic)) topics.set(topic, new Set());
  topics.get(topic).add(socket);
  socket.on('message', (text) => { socket.answered = JSON.parse(text).id; });
  socket.on('close', () => topics.get(topic).delete(socket));
  socket.on('error', () => {});
}

const server = http.createServer((request, answer) => {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => publish(request.url.slice(5), Buffer.concat(chunks), answer));
});
server.keepAliveTimeout = 60000;
server.on('upgrade', (request, connection, head) => sockets.handleUpgrade(
  request, connection, head, (socket) => subscribe(request.url.slice(5), socket)));
server.listen(+process.env.PORT, '127.0.0.1');
