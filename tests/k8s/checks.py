"""All checks of rendered objects, but that of references, which needs to know what is elsewhere."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from tests.k8s.alerts import alert_faults
from tests.k8s.configuration import configuration_faults
from tests.k8s.policies import policy_faults
from tests.k8s.quantities import quantity_faults
from tests.k8s.rendering import Manifest
from tests.k8s.schemas import schema_faults
from tests.k8s.serving import serving_faults

Check: TypeAlias = Callable[[Sequence[Manifest]], Iterable[str]]

CHECKS: tuple[Check, ...] = (
    schema_faults,
    policy_faults,
    quantity_faults,
    configuration_faults,
    serving_faults,
    alert_faults,
)
