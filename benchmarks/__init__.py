"""What the product does in a second, beside the limits of the machine and the neighbours of the field."""

from koda_web.sqlite import use_fixed_library

use_fixed_library()  # the raw limit is measured with the library that the product uses
