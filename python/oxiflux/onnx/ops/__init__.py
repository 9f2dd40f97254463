"""The operators: a function for each, in the table of `oxiflux.onnx.table`."""

from . import activations as activations
from . import arithmetic as arithmetic
from . import control as control
from . import gathering as gathering
from . import images as images
from . import matrices as matrices
from . import normalisations as normalisations
from . import pooling as pooling
from . import random as random
from . import recurrent as recurrent
from . import reductions as reductions
from . import resizing as resizing
from . import sampling as sampling
from . import selection as selection
from . import shapes as shapes
from . import signals as signals
