"""What the reading cases are: made-up people and orders, each tied to one public sample image.

Everything about a person here is invented. The images are samples that come with ``pydicom-data``
(MIT) or, as a fallback, with pydicom itself; `retag` gives them our names and UIDs. Not used, on
purpose: ``693_*`` (non-commercial licence), ``bad_sequence`` (illegal UID) and ``US1_*`` (the name
of a real hospital is burned into the pixels).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta


@dataclass(frozen=True, slots=True)
class Person:
    """A made-up patient. The family names say that they are invented."""

    id: str
    family: str
    given: str
    gender: str
    birth_date: date
    mrn: str

    @property
    def dicom_name(self) -> str:
        """The name as DICOM writes it (VR PN)."""
        return f"{self.family}^{self.given}"


@dataclass(frozen=True, slots=True)
class Code:
    """A LOINC code for the examination."""

    code: str
    display: str


@dataclass(frozen=True, slots=True)
class Recipe:
    """One case before its image is loaded.

    Attributes:
        sample: File name of the sample image.
        window: Window centre and width in modality units (after slope and intercept), chosen by
            eye so that the first picture a reader sees is usable.
        ordered_before: How long before the start of the demo the order was written.
        conclusion: The text of a report that is already final (a prior); None for a case to read.
    """

    key: str
    person: Person
    accession: str
    sample: str
    modality: str
    code: Code
    description: str
    series_description: str
    reason: str
    window: tuple[float, float]
    ordered_before: timedelta
    conclusion: str | None = None


ADA = Person("ada-fictional", "Fictional", "Ada", "female", date(1958, 4, 12), "MRN-100417")
BRUNO = Person("bruno-madeup", "Madeup", "Bruno", "male", date(1983, 9, 30), "MRN-100523")
CARLA = Person("carla-invented", "Invented", "Carla", "female", date(1949, 1, 7), "MRN-100698")
DARIO = Person("dario-imaginary", "Imaginary", "Dario", "male", date(2011, 6, 19), "MRN-100754")
ELIF = Person("elif-pretend", "Pretend", "Elif", "female", date(1972, 12, 2), "MRN-100881")

_LIVER_REASON = "Liver lesion seen on CT, please characterise."
_LIVER = Code("30670-4", "MR Liver WO and W contrast IV")
_ECHO = Code("42148-7", "US Heart")

FULL = (
    Recipe(
        key="chest-cr",
        person=ADA,
        accession="DEMO26001",
        sample="RG1_UNCR.dcm",
        modality="CR",
        code=Code("24648-8", "XR Chest PA upright"),
        description="XR chest, PA",
        series_description="Chest PA",
        reason="Cough and weight loss for six weeks.",
        window=(8500, 17000),
        ordered_before=timedelta(minutes=52),
    ),
    Recipe(
        key="liver-mr",
        person=CARLA,
        accession="DEMO26002",
        sample="MR-SIEMENS-DICOM-WithOverlays.dcm",
        modality="MR",
        code=_LIVER,
        description="MR liver with contrast",
        series_description="T1 fat-saturated, axial, late phase",
        reason=_LIVER_REASON,
        window=(450, 790),
        ordered_before=timedelta(minutes=41),
    ),
    Recipe(
        key="shoulder-mr",
        person=BRUNO,
        accession="DEMO26003",
        sample="MR2_UNCR.dcm",
        modality="MR",
        code=Code("36528-8", "MR Shoulder - right WO contrast"),
        description="MR right shoulder",
        series_description="T1, oblique coronal",
        reason="Pain on lifting the right arm after a fall.",
        window=(800, 1600),
        ordered_before=timedelta(minutes=33),
    ),
    Recipe(
        key="tibia-cr",
        person=DARIO,
        accession="DEMO26004",
        sample="RG3_UNCR.dcm",
        modality="CR",
        code=Code("25011-8", "XR Tibia and Fibula Views"),
        description="XR right lower leg, AP",
        series_description="Lower leg AP",
        reason="Twisted the right ankle playing football; swelling.",
        window=(450, 900),
        ordered_before=timedelta(minutes=18),
    ),
    Recipe(
        key="heart-us",
        person=ELIF,
        accession="DEMO26005",
        sample="color3d_jpeg_baseline.dcm",
        modality="US",
        code=_ECHO,
        description="Echocardiogram",
        series_description="Apical four-chamber view, cine",
        reason="Short of breath on exertion; function of the left ventricle?",
        window=(128, 256),
        ordered_before=timedelta(minutes=7),
    ),
    Recipe(
        key="abdomen-ct",
        person=CARLA,
        accession="DEMO25917",
        sample="explicit_VR-UN.dcm",
        modality="CT",
        code=Code("79103-8", "CT Abdomen W contrast IV"),
        description="CT abdomen with contrast",
        series_description="Portal venous phase, axial",
        reason="Abdominal pain, raised liver enzymes.",
        window=(40, 400),
        ordered_before=timedelta(days=96, hours=5),
        conclusion=(
            "Indeterminate lesion of the right liver lobe, MR of the liver recommended. "
            "Pancreas and both kidneys without focal lesion. (Made-up report.)"
        ),
    ),
)

BUNDLED_ONLY = (
    Recipe(
        key="liver-mr-small",
        person=CARLA,
        accession="DEMO26002",
        sample="examples_overlay.dcm",
        modality="MR",
        code=_LIVER,
        description="MR liver with contrast",
        series_description="T1 fat-saturated, axial, late phase",
        reason=_LIVER_REASON,
        window=(450, 790),
        ordered_before=timedelta(minutes=41),
    ),
    Recipe(
        key="head-ct",
        person=BRUNO,
        accession="DEMO26006",
        sample="J2K_pixelrep_mismatch.dcm",
        modality="CT",
        code=Code("30799-1", "CT Head WO contrast"),
        description="CT head",
        series_description="Axial, 5 mm",
        reason="Head injury, vomiting; bleeding?",
        window=(40, 100),
        ordered_before=timedelta(minutes=12),
    ),
    Recipe(
        key="heart-us-small",
        person=ELIF,
        accession="DEMO26005",
        sample="examples_ybr_color.dcm",
        modality="US",
        code=_ECHO,
        description="Echocardiogram",
        series_description="Apical four-chamber view, cine",
        reason="Short of breath on exertion; function of the left ventricle?",
        window=(128, 256),
        ordered_before=timedelta(minutes=7),
    ),
    Recipe(
        key="spine-ct",
        person=CARLA,
        accession="DEMO25918",
        sample="CT_small.dcm",
        modality="CT",
        code=Code("30597-9", "CT Thoracic spine WO contrast"),
        description="CT thoracic spine, detail",
        series_description="Axial detail",
        reason="Back pain.",
        window=(60, 450),
        ordered_before=timedelta(days=96, hours=5),
        conclusion="No fracture of the vertebra shown. (Made-up report.)",
    ),
)
