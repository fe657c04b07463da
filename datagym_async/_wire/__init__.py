"""The service's protocol without I/O, in reading order.

- `_messages`: a request, its body's recipe, and the answer; bounds of answers.
- `_pages`: the bytes of a file as a body, on their way through a pipe instead of our memory.
- `_routes`: every call of the API as a function that gives its request.
- `_codec`: turns a good answer into a model, or into one error that says where it differs: the
  converter of the models, and the service's names of their fields.
- `_errors`: turns an error answer into an exception with a sentence.
- `_cutting`: cuts exports, lists and listings into values as they arrive.
- `_redact`: keeps secrets out of everything that people, files and logs get.
"""

# ruff: noqa: F401 -- what a package of ours alone imports is what it exports

from __future__ import annotations

from typing import TYPE_CHECKING

from datagym_async._public import when_asked

if TYPE_CHECKING:
    from datagym_async._wire._codec import (
        ClearedConfig,
        ImportAnswer,
        check_empty,
        check_image,
        decode,
        decode_value,
        field_path,
        make_converter,
        read_json,
        register_media,
        wire_names,
    )
    from datagym_async._wire._cutting import (
        TASK,
        BrokenTextError,
        ElementCutter,
        ListingCutter,
        MemberCutter,
        Portion,
    )
    from datagym_async._wire._errors import DETAILS, SENTENCES, STATUSES, decode_error
    from datagym_async._wire._messages import (
        BINARY_TYPE,
        JSON_TYPE,
        MAX_BITMAP,
        MAX_DOCUMENT,
        MAX_ERROR,
        MAX_VALUE,
        Body,
        Lane,
        Replay,
        Request,
        Response,
    )
    from datagym_async._wire._pages import Pages, Pipes
    from datagym_async._wire._redact import Cleaner, HiddenField, Secret, Secrets, redact
    from datagym_async._wire._routes import raw_request
else:
    __getattr__, __dir__, _ = when_asked(
        __name__,
        _codec="ClearedConfig ImportAnswer check_empty check_image decode decode_value field_path"
        " make_converter read_json register_media wire_names",
        _cutting="BrokenTextError ElementCutter ListingCutter MemberCutter Portion TASK",
        _errors="DETAILS SENTENCES STATUSES decode_error",
        _messages="BINARY_TYPE Body JSON_TYPE Lane MAX_BITMAP MAX_DOCUMENT MAX_ERROR MAX_VALUE"
        " Replay Request Response",
        _pages="Pages Pipes",
        _routes="raw_request",
        _redact="Cleaner HiddenField Secret Secrets redact",
    )
