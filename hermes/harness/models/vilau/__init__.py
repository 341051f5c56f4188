"""VILA-U in its authors' layout: a model that understands, draws by residual codes and can be aligned."""
