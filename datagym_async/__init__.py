"""The asyncio-native Python client for the DataGym image-annotation platform."""

from datagym_async._version import __version__ as __version__
