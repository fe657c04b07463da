"""AI-assisted segmentation: a feature that is not installed, as on every open-core service."""

from typing import Final

from aiohttp import web

from ._call import Call, Route
from ._errors import refuse

__all__ = ["ROUTES"]


async def unavailable(call: Call) -> web.StreamResponse:
    """Refuse."""
    raise refuse("ex_service_unavailable", "ai")


ROUTES: Final = (
    Route("POST", "/aiseg/{image_id}/prepare", unavailable),
    Route("POST", "/aiseg/calculate", unavailable),
    Route("DELETE", "/aiseg/{image_id}/finish", unavailable),
)
