"""The OCI runtime specification's config.json, to and from `isolate.spec.Spec`.

What OCI has no word for travels in annotations that begin with `isolate.`; what the spec can't
express is refused by its path in config.json.
"""

from isolate.oci.read import from_oci
from isolate.oci.seccomp import document as seccomp_document
from isolate.oci.words import VERSION, User
from isolate.oci.write import to_oci

__all__ = ["VERSION", "User", "from_oci", "seccomp_document", "to_oci"]
