"""Server-rendered pages: Measure, Result and Models.

``attach`` puts them into an application; ``PageSettings`` says how they behave, ``PageSources``
where jobs and models come from. ``sign_in_page`` asks for a key. The scripts of the pages speak
only with the REST API.
"""

from pallor.service.pages.routes import attach
from pallor.service.pages.settings import PageSettings, PageSources
from pallor.service.pages.sign_in import sign_in_page, signed_in_page

__all__ = ["PageSettings", "PageSources", "attach", "sign_in_page", "signed_in_page"]
