"""dramatiq's worker."""

import dramatiq  # type: ignore[import-not-found]
from dramatiq.brokers.redis import RedisBroker  # type: ignore[import-not-found]

from .. import driver
from . import work

broker = RedisBroker(url=work.URL)
dramatiq.set_broker(broker)


@dramatiq.actor(actor_name=driver.TASK_TYPE)  # type: ignore[untyped-decorator]
def welcome(user_id: int, email: str, template: str) -> None:
    """The task."""
    work.note(user_id)
