"""The service's protocol without I/O, in reading order.

- `_messages`: a request, its body's recipe, and the answer; bounds of answers.
- `_routes`: every call of the API as a function that gives its request.
- `_codec`: from a good answer to a model, or to one error that says where it has another shape.
- `_structure`: the converter of the models, and what the service calls their fields.
- `_errors`: from an error answer to the exception that says it, in a sentence.
- `_cutting`: exports, lists and listings, cut into values as they arrive.
- `_redact`: secrets kept out of what people, files and log lines get to see.
"""
