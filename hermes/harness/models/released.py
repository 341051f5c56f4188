"""How a model that runs as its authors released it is told from one that does what it was trained for."""

from hermes.harness.contracts.options import LoadOptions


def named(title: str, options: LoadOptions) -> str:
    """What the model is called: rows of the two ways must not be taken for one."""
    return f"{title}-as-released" if options.as_released else title


def versioned(version: str, options: LoadOptions) -> str:
    """The version of the adapter's code, of which answers and run ids are made: the same weights answer differently."""
    return f"{version}-as-released" if options.as_released else version
