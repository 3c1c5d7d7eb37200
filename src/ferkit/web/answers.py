"""What the service answers, as types that document themselves."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

_PROBABILITIES = {
    "angry": 0.004,
    "disgust": 0.001,
    "fear": 0.008,
    "happy": 0.941,
    "sad": 0.006,
    "surprise": 0.012,
    "neutral": 0.028,
}


class BoxAnswer(BaseModel):
    """A square, in pixels of the picture as it is seen; it may reach beyond the picture."""

    x: int = Field(description="Left edge.", examples=[172])
    y: int = Field(description="Upper edge.", examples=[64])
    size: int = Field(description="Side.", examples=[131])
    angle: float = Field(description="Degrees by which the face is turned clockwise about the middle.", examples=[0.0])


class FaceAnswer(BaseModel):
    """A face and what it expresses."""

    box: BoxAnswer
    expression: str = Field(description="The likeliest class, or `uncertain`.", examples=["happy"])
    confidence: float = Field(description="Calibrated probability of the likeliest class.", examples=[0.941])
    probabilities: dict[str, float] = Field(description="Of every class; they sum to 1.", examples=[_PROBABILITIES])


class ImageAnswer(BaseModel):
    """A picture and its faces, the largest first."""

    name: str = Field(description="As the request gave it.", examples=["me.jpg"])
    width: int = Field(description="Pixels, after EXIF rotation.", examples=[512])
    height: int = Field(description="Pixels, after EXIF rotation.", examples=[512])
    faces: list[FaceAnswer]


class ModelName(BaseModel):
    """Which network has answered."""

    name: str = Field(examples=["compact"])
    sha256: str = Field(description="Of the network's file.", examples=["c7" * 32])


class RecognizeAnswer(BaseModel):
    """All pictures of a request, in its order."""

    model: ModelName
    milliseconds: float = Field(description="From the whole request to this answer.", examples=[31.4])
    images: list[ImageAnswer]


class Limits(BaseModel):
    """What a request, or a frame of a stream, may hold."""

    body_bytes: int
    frame_bytes: int
    pixels: int
    images: int


class ModelAnswer(BaseModel):
    """The card of the network: what it is and what it was measured at."""

    model_config = ConfigDict(extra="allow")

    name: str
    sha256: str
    classes: list[str]
    metrics: dict[str, Any]
    limits: Limits
    min_confidence: float = Field(description="Below it expressions are `uncertain` where a request says nothing else.")
    views: list[str] = Field(
        description="What is read besides each face; the answer is the mean.", examples=[["mirror"]]
    )


class Status(BaseModel):
    """Whether the service is well."""

    status: str = Field(examples=["ok"])


class ErrorAnswer(BaseModel):
    """Why there is no other answer."""

    code: str = Field(description="For programs.", examples=["body_too_large"])
    error: str = Field(description="A sentence for people.", examples=["Expected a body of at most 32,000,000 bytes."])
