/**
 * @file
 * Everything: the core and the provided tasks.
 */
#ifndef TMGR_TASKMGR_H
#define TMGR_TASKMGR_H

#include <taskmgr/channel.h>
#include <taskmgr/context.h>
#include <taskmgr/error.h>
#include <taskmgr/event.h>
#include <taskmgr/first_success.h>
#include <taskmgr/future.h>
#include <taskmgr/group.h>
#include <taskmgr/handle.h>
#include <taskmgr/host.h>
#include <taskmgr/manager.h>
#include <taskmgr/queue.h>
#include <taskmgr/report.h>
#include <taskmgr/several.h>
#include <taskmgr/shield.h>
#include <taskmgr/signal.h>
#include <taskmgr/snapshot.h>
#include <taskmgr/sync.h>
#include <taskmgr/task.h>
#include <taskmgr/thread_call.h>
#include <taskmgr/time.h>
#include <taskmgr/token.h>
#include <taskmgr/version.h>

#include <taskmgr/tasks/coroutine.h>
#include <taskmgr/tasks/endpoint.h>
#include <taskmgr/tasks/force_stop.h>
#include <taskmgr/tasks/generator.h>
#include <taskmgr/tasks/interruptible.h>
#include <taskmgr/tasks/interval.h>
#include <taskmgr/tasks/iterator.h>
#include <taskmgr/tasks/iterator_types.h>
#include <taskmgr/tasks/loop.h>
#include <taskmgr/tasks/machine.h>
#include <taskmgr/tasks/machine_handlers.h>
#include <taskmgr/tasks/machine_read.h>
#include <taskmgr/tasks/machine_schema.h>
#include <taskmgr/tasks/machine_task.h>
#include <taskmgr/tasks/machine_telemetry.h>
#include <taskmgr/tasks/machine_tracer.h>
#include <taskmgr/tasks/machine_wait.h>
#include <taskmgr/tasks/manager.h>
#include <taskmgr/tasks/parallel.h>
#include <taskmgr/tasks/process.h>
#include <taskmgr/tasks/process_control.h>
#include <taskmgr/tasks/process_effects.h>
#include <taskmgr/tasks/process_request.h>
#include <taskmgr/tasks/process_runtime.h>
#include <taskmgr/tasks/process_single.h>
#include <taskmgr/tasks/process_store.h>
#include <taskmgr/tasks/resolve.h>
#include <taskmgr/tasks/retry.h>
#include <taskmgr/tasks/sequence.h>
#include <taskmgr/tasks/signals.h>
#include <taskmgr/tasks/state.h>
#include <taskmgr/tasks/stream.h>
#include <taskmgr/tasks/timeout.h>
#include <taskmgr/tasks/worker_pool.h>

#endif
