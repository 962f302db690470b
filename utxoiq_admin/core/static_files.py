"""Static files under names made of their contents, kept by browsers for ever: a new version has a new name."""

from whitenoise.storage import CompressedManifestStaticFilesStorage


class HashedStaticFiles(CompressedManifestStaticFilesStorage):
    """Also for what one JavaScript module imports from another: else a browser may mix an old one with a new one."""

    support_js_module_import_aggregation = True
