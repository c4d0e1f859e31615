"""What holds for every test module."""

# Tests put another folder in the place of `weights.SHIPPED_FOLDER`. The forest's own, which is
# named when its module is loaded, must not be named from one of these.
import drummix.mixers.forest.trees  # noqa: F401
