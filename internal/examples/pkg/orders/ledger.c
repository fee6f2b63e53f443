/* The ledger: rows of our own in the file of the processes, written with the step, exactly once. */
#include "order.h"

static bool kept = true;

void orders_set_ledger(bool written)
{
	kept = written;
}

int order__open_ledger(struct tmgr_process *process)
{
	const struct tmgr_sql_statement statement = {
		.text = "CREATE TABLE IF NOT EXISTS ledger(id INTEGER PRIMARY KEY, at_ms INTEGER,"
			" order_id TEXT NOT NULL, event TEXT NOT NULL, amount INTEGER NOT NULL)",
	};

	return kept ? tmgr_process_sql(process, &statement) : 0;
}

int order__book(struct tmgr_process *process, const char *order, const char *event, int64_t amount)
{
	const struct tmgr_sql_value values[] = {
		{ .kind = TMGR_SQL_INTEGER, .integer = tmgr_process_now(process) },
		{ .kind = TMGR_SQL_TEXT, .text = order },
		{ .kind = TMGR_SQL_TEXT, .text = event },
		{ .kind = TMGR_SQL_INTEGER, .integer = amount },
	};
	const struct tmgr_sql_statement statement = {
		.text = "INSERT INTO ledger(at_ms, order_id, event, amount) VALUES(?1, ?2, ?3, ?4)",
		.values = values,
		.count = sizeof(values) / sizeof(values[0]),
	};

	return kept ? tmgr_process_sql(process, &statement) : 0;
}
