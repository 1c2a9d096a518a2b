"""What may be wrong with a turn."""

from kit.errors import DomainError, Kind


class OutOfOrder(DomainError):
    """A turn before this one has not been recorded yet."""

    kind = Kind.CONFLICT
    code = "voice.turn_out_of_order"


class TurnDiffers(DomainError):
    """Another turn was recorded under this number."""

    kind = Kind.CONFLICT
    code = "voice.turn_differs"
