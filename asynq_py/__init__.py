"""asynq_py: Python producers, schedulers and workers that speak Asynq's Redis protocol.

How the package is layered; an import goes up this list or stays in its own part:

    errors, clock                   what can go wrong; time
    wire                            keys, protobuf messages, Go's text forms
    broker                          operations as generators, Lua scripts
    codec, options, task, info      what users give and are shown
    schedule                        cron expressions: when is next?
    connection                      the way to Redis; the only importer of redis-py
    client                          Client, AsyncClient: producing tasks
    scheduler                       Scheduler: producing them on time
    inspector                       Inspector, AsyncInspector: looking and steering
    doctor                          what is damaged in a Redis, and how it is mended
    server                          Server: taking tasks and having them handled
    testing, cli                    handlers, real Redis, real Go in tests; the command asynq-py

To see the whole idea, read wire/keys.py, wire/message.py, broker/lua/enqueue.lua,
broker/enqueue.py and client/sync.py.
"""

from asynq_py.client.aio import AsyncClient
from asynq_py.client.sync import Client
from asynq_py.codec import JSON, JSON_SORTED, MSGPACK, RAW, Codec
from asynq_py.connection import RedisConfig
from asynq_py.errors import (
    AsynqError,
    BrokerError,
    ConfigError,
    ConflictError,
    DuplicateTaskError,
    HandlerError,
    HandlerNotFoundError,
    LeaseLostError,
    NotFoundError,
    OverlapError,
    PayloadError,
    ProcessDiedError,
    QueueNotEmptyError,
    QueueNotFoundError,
    QueueStateError,
    RejectedError,
    RevokeTask,
    RunsExhaustedError,
    SchedulerRunningError,
    SchedulerStoppedError,
    ScheduleSyntaxError,
    ServerStateError,
    ShutdownTimeoutError,
    SkipRetry,
    TaskCancelledError,
    TaskIDConflictError,
    TaskNotFoundError,
    TaskStateError,
    TaskTimeoutError,
    TickTakenError,
    UnavailableError,
    WireError,
)
from asynq_py.info import EnqueueResult, TaskInfo
from asynq_py.inspector.aio import AsyncInspector
from asynq_py.inspector.info import (
    ClusterNode,
    DailyStats,
    EnqueueEvent,
    GroupInfo,
    QueueInfo,
    QueueSizes,
    SchedulerEntryInfo,
    ServerInfo,
    WorkerInfo,
)
from asynq_py.inspector.sync import Inspector
from asynq_py.options import EnqueueOptions
from asynq_py.schedule import Schedule, parse_schedule
from asynq_py.scheduler.config import LeaderElection, Leadership, SchedulerConfig
from asynq_py.scheduler.entry import Entry, Run, RunOutcome
from asynq_py.scheduler.manager import PeriodicTaskManager
from asynq_py.scheduler.periodic import PeriodicTask
from asynq_py.scheduler.policy import Misfire, Overlap
from asynq_py.scheduler.provider import FileProvider
from asynq_py.scheduler.scheduler import Scheduler
from asynq_py.server.config import ServerConfig
from asynq_py.server.context import Context
from asynq_py.server.delays import (
    default_retry_delay,
    delay_by_error,
    exponential_delay,
    fixed_delay,
)
from asynq_py.server.mux import ServeMux
from asynq_py.server.server import Server
from asynq_py.task import Task
from asynq_py.wire.message import TaskState

__version__ = "0.1.0"

__all__ = [
    "JSON",
    "JSON_SORTED",
    "MSGPACK",
    "RAW",
    "AsyncClient",
    "AsyncInspector",
    "AsynqError",
    "BrokerError",
    "Client",
    "ClusterNode",
    "Codec",
    "ConfigError",
    "ConflictError",
    "Context",
    "DailyStats",
    "DuplicateTaskError",
    "EnqueueEvent",
    "EnqueueOptions",
    "EnqueueResult",
    "Entry",
    "FileProvider",
    "GroupInfo",
    "HandlerError",
    "HandlerNotFoundError",
    "Inspector",
    "LeaderElection",
    "Leadership",
    "LeaseLostError",
    "Misfire",
    "NotFoundError",
    "Overlap",
    "OverlapError",
    "PayloadError",
    "PeriodicTask",
    "PeriodicTaskManager",
    "ProcessDiedError",
    "QueueInfo",
    "QueueNotEmptyError",
    "QueueNotFoundError",
    "QueueSizes",
    "QueueStateError",
    "RedisConfig",
    "RejectedError",
    "RevokeTask",
    "Run",
    "RunOutcome",
    "RunsExhaustedError",
    "Schedule",
    "ScheduleSyntaxError",
    "Scheduler",
    "SchedulerConfig",
    "SchedulerEntryInfo",
    "SchedulerRunningError",
    "SchedulerStoppedError",
    "ServeMux",
    "Server",
    "ServerConfig",
    "ServerInfo",
    "ServerStateError",
    "ShutdownTimeoutError",
    "SkipRetry",
    "Task",
    "TaskCancelledError",
    "TaskIDConflictError",
    "TaskInfo",
    "TaskNotFoundError",
    "TaskState",
    "TaskStateError",
    "TaskTimeoutError",
    "TickTakenError",
    "UnavailableError",
    "WireError",
    "WorkerInfo",
    "default_retry_delay",
    "delay_by_error",
    "exponential_delay",
    "fixed_delay",
    "parse_schedule",
]
