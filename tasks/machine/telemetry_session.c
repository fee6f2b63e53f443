#include <inttypes.h>

#include <taskmgr/tasks/machine_telemetry.h>

#include "telemetry_text.h"

size_t tmgr_session_json(const struct tmgr_recording_session *session, char *buffer, size_t size)
{
	const struct tmgr_step_machine *machine;
	struct tmgr__text text;

	tmgr__text_init(&text, buffer, size);
	if (!session)
		return 0;
	machine = &session->machine;
	tmgr__text_add(&text, "{\"machine\":");
	tmgr__text_add_json(&text, machine->name);
	tmgr__text_add(&text, ",\"schema\":");
	tmgr__text_add_json(&text, machine->schema);
	if (session->time_of_day > 0) {
		tmgr__text_add(&text, ",\"time\":\"");
		tmgr__text_add_time(&text, session->time_of_day, 9);
		tmgr__text_add(&text, "\"");
	}
	tmgr__text_format(&text, ",\"monotonic_ns\":%" PRId64 ",\"states\":{", session->time);
	for (size_t i = 0; i < machine->count; i++) {
		tmgr__text_add(&text, i > 0 ? "," : "");
		tmgr__text_add_json(&text, machine->names[i]);
		tmgr__text_format(&text, ":%" PRIu64, session->ticks[i]);
	}
	tmgr__text_add(&text, "},\"active\":[");
	for (size_t i = 0; i < session->active.count; i++) {
		tmgr__text_add(&text, i > 0 ? "," : "");
		tmgr__text_add_json(&text, machine->names[session->active.items[i]]);
	}
	tmgr__text_add(&text, "]}");
	return text.length;
}

size_t tmgr_session_format(const struct tmgr_recording_session *session, char *buffer, size_t size)
{
	const struct tmgr_step_machine *machine;
	struct tmgr__text text;

	tmgr__text_init(&text, buffer, size);
	if (!session)
		return 0;
	machine = &session->machine;
	tmgr__text_add_escaped(&text, machine->name);
	tmgr__text_format(&text, ", %zu states", machine->count);
	if (session->time_of_day > 0) {
		tmgr__text_add(&text, ", recorded from ");
		tmgr__text_add_time(&text, session->time_of_day, 6);
	}
	tmgr__text_add(&text, session->active.count > 0 ? "; active:" : "; active: none");
	for (size_t i = 0; i < session->active.count; i++) {
		unsigned state = session->active.items[i];

		tmgr__text_format(
			&text, " %s:%" PRIu64, machine->names[state], session->ticks[state]);
	}
	return text.length;
}
