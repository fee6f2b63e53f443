/*
 * Counters are added to by the machine's tracer, which is called by one thread at a time, and read by
 * anybody: each is right by itself, a text may be taken amid a transition.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include <taskmgr/tasks/machine_tracer.h>

#include "taskmgr/base/check.h"
#include "telemetry_block.h"
#include "telemetry_text.h"

#define KINDS (TMGR_MUTATION_TOGGLE + 1)
#define BUCKETS 7

/* Upper bounds of the histogram of durations; behind the last there is +Inf. */
static const struct {
	int64_t ns;
	const char *seconds;
} buckets[BUCKETS] = {
	{ TMGR_MICROSECOND, "0.000001" },
	{ 10 * TMGR_MICROSECOND, "0.00001" },
	{ 100 * TMGR_MICROSECOND, "0.0001" },
	{ TMGR_MILLISECOND, "0.001" },
	{ 10 * TMGR_MILLISECOND, "0.01" },
	{ 100 * TMGR_MILLISECOND, "0.1" },
	{ TMGR_SECOND, "1" },
};

struct tmgr_machine_metrics {
	struct tmgr__step_source source;
	uint64_t transitions[KINDS][TMGR_STEP_RESULTS];
	uint64_t durations[BUCKETS + 1];
	uint64_t duration_ns; /* sum */
};

static void add(uint64_t *counter, uint64_t count)
{
	__atomic_fetch_add(counter, count, __ATOMIC_RELAXED);
}

static uint64_t get(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

static void count(struct tmgr_machine_metrics *metrics,
	const struct tmgr_machine_transition *transition, enum tmgr_step_result result)
{
	int64_t ns = transition->began > 0 ? tmgr_now() - transition->began : 0;
	size_t i = 0;

	if (transition->dry)
		return;
	add(&metrics->transitions[transition->kind][result], 1);
	while (i < BUCKETS && ns > buckets[i].ns)
		i++;
	add(&metrics->durations[i], 1);
	add(&metrics->duration_ns, (uint64_t)ns);
}

static void on_end(void *self, const struct tmgr_machine_transition *transition)
{
	count(self, transition, TMGR_STEP_EXECUTED);
}

static void on_cancelled(void *self, const struct tmgr_machine_transition *transition)
{
	count(self, transition, transition->committed ? TMGR_STEP_FAILED : TMGR_STEP_CANCELLED);
}

static const struct tmgr_machine_tracer tracer = {
	.transition_end = on_end,
	.transition_cancelled = on_cancelled,
};

/* ---- Text ----------------------------------------------------------------------------------- */

/* A metric is a head, then its samples of all machines. */
struct metric {
	const char *name, *type, *help;
	void (*add)(struct tmgr__text *text, const struct metric *metric,
		struct tmgr_machine_metrics *metrics, const struct tmgr_machine_stats *stats);
	size_t offset; /* of a count in the stats */
};

static void add_name(struct tmgr__text *text, const struct metric *metric, const char *suffix,
	const struct tmgr_machine_metrics *metrics)
{
	tmgr__text_format(text, "%s%s{machine=\"", metric->name, suffix);
	tmgr__text_add_label(text, metrics->source.names.name);
	tmgr__text_add(text, "\"");
}

static void add_transitions(struct tmgr__text *text, const struct metric *metric,
	struct tmgr_machine_metrics *metrics, const struct tmgr_machine_stats *stats)
{
	static const char *const results[TMGR_STEP_RESULTS] = {
		[TMGR_STEP_EXECUTED] = "executed",
		[TMGR_STEP_CANCELLED] = "cancelled",
		[TMGR_STEP_FAILED] = "failed",
	};

	/* A toggle has become an add or a remove. */
	for (unsigned kind = 0; kind < TMGR_MUTATION_TOGGLE; kind++)
		for (unsigned result = 0; result < TMGR_STEP_RESULTS; result++) {
			add_name(text, metric, "", metrics);
			tmgr__text_format(text, ",kind=\"%s\",result=\"%s\"} %" PRIu64 "\n",
				tmgr_mutation_name(kind), results[result],
				get(&metrics->transitions[kind][result]));
		}
}

static void add_durations(struct tmgr__text *text, const struct metric *metric,
	struct tmgr_machine_metrics *metrics, const struct tmgr_machine_stats *stats)
{
	uint64_t sum = get(&metrics->duration_ns), counted = 0;

	for (unsigned i = 0; i <= BUCKETS; i++) {
		counted += get(&metrics->durations[i]);
		add_name(text, metric, "_bucket", metrics);
		tmgr__text_format(text, ",le=\"%s\"} %" PRIu64 "\n",
			i < BUCKETS ? buckets[i].seconds : "+Inf", counted);
	}
	add_name(text, metric, "_sum", metrics);
	tmgr__text_format(
		text, "} %" PRIu64 ".%09" PRIu64 "\n", sum / TMGR_SECOND, sum % TMGR_SECOND);
	add_name(text, metric, "_count", metrics);
	tmgr__text_format(text, "} %" PRIu64 "\n", counted);
}

static void add_count(struct tmgr__text *text, const struct metric *metric,
	struct tmgr_machine_metrics *metrics, const struct tmgr_machine_stats *stats)
{
	add_name(text, metric, "", metrics);
	tmgr__text_format(
		text, "} %" PRIu64 "\n", *(const uint64_t *)((const char *)stats + metric->offset));
}

static void add_size(struct tmgr__text *text, const struct metric *metric,
	struct tmgr_machine_metrics *metrics, const struct tmgr_machine_stats *stats)
{
	add_name(text, metric, "", metrics);
	tmgr__text_format(text, "} %zu\n", *(const size_t *)((const char *)stats + metric->offset));
}

static void add_of_state(struct tmgr__text *text, const struct metric *metric,
	struct tmgr_machine_metrics *metrics, unsigned state, uint64_t value)
{
	add_name(text, metric, "", metrics);
	tmgr__text_add(text, ",state=\"");
	tmgr__text_add_label(text, metrics->source.names.names[state]);
	tmgr__text_format(text, "\"} %" PRIu64 "\n", value);
}

static void add_active(struct tmgr__text *text, const struct metric *metric,
	struct tmgr_machine_metrics *metrics, const struct tmgr_machine_stats *stats)
{
	for (unsigned i = 0; i < metrics->source.names.count; i++)
		add_of_state(text, metric, metrics, i,
			tmgr_machine_tick(metrics->source.machine, i) & 1);
}

static void add_ticks(struct tmgr__text *text, const struct metric *metric,
	struct tmgr_machine_metrics *metrics, const struct tmgr_machine_stats *stats)
{
	for (unsigned i = 0; i < metrics->source.names.count; i++)
		add_of_state(
			text, metric, metrics, i, tmgr_machine_tick(metrics->source.machine, i));
}

#define STATS(field) offsetof(struct tmgr_machine_stats, field)

static const struct metric all[] = {
	{ "taskmgr_machine_transitions_total", "counter",
		"Transitions, by kind and how they ended.", add_transitions, 0 },
	{ "taskmgr_machine_transition_duration_seconds", "histogram",
		"Time from the begin of a transition to its end.", add_durations, 0 },
	{ "taskmgr_machine_errors_total", "counter", "Times that Exception was added.", add_count,
		STATS(errors) },
	{ "taskmgr_machine_slow_handlers_total", "counter",
		"Handlers that took longer than they should.", add_count, STATS(slow) },
	{ "taskmgr_machine_dropped_mutations_total", "counter",
		"Mutations that a full queue or their time to live cancelled.", add_count,
		STATS(dropped) },
	{ "taskmgr_machine_queued_mutations", "gauge", "Mutations that wait.", add_size,
		STATS(queued) },
	{ "taskmgr_machine_waits", "gauge", "Conditions that are waited for.", add_size,
		STATS(waits) },
	{ "taskmgr_machine_state_active", "gauge", "Whether a state is active.", add_active, 0 },
	{ "taskmgr_machine_state_ticks_total", "counter", "Times that a state was entered or left.",
		add_ticks, 0 },
};

static void add_metric(struct tmgr__text *text, const struct metric *metric,
	struct tmgr_machine_metrics *const *metrics, size_t count)
{
	tmgr__text_format(text, "# HELP %s %s\n# TYPE %s %s\n", metric->name, metric->help,
		metric->name, metric->type);
	for (size_t i = 0; i < count; i++) {
		struct tmgr_machine_stats stats;

		if (metrics[i] && tmgr_machine_stats(metrics[i]->source.machine, &stats) == 0)
			metric->add(text, metric, metrics[i], &stats);
	}
}

size_t tmgr_machine_metrics_format(
	struct tmgr_machine_metrics *const *metrics, size_t count, char *buffer, size_t size)
{
	struct tmgr__text text;

	tmgr__text_init(&text, buffer, size);
	if (!metrics)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		add_metric(&text, &all[i], metrics, count);
	return text.length;
}

/* ---- Making and ending ---------------------------------------------------------------------- */

int tmgr_machine_metrics_create(
	struct tmgr_machine *machine, struct tmgr_machine_metrics **ret_metrics)
{
	struct tmgr_machine_metrics *metrics;
	int r;

	if (!machine || !ret_metrics)
		return -EINVAL;
	metrics = calloc(1, sizeof(*metrics));
	if (!metrics)
		return -ENOMEM;
	r = tmgr__step_source_init(&metrics->source, machine);
	if (r == 0)
		r = tmgr_machine_trace(machine, &tracer, metrics);
	if (r < 0) {
		tmgr__step_source_fini(&metrics->source);
		free(metrics);
		return r;
	}
	*ret_metrics = metrics;
	return 0;
}

void tmgr_machine_metrics_destroy(struct tmgr_machine_metrics *metrics)
{
	if (!metrics)
		return;
	tmgr_machine_untrace(metrics->source.machine, &tracer, metrics);
	tmgr__step_source_fini(&metrics->source);
	free(metrics);
}
