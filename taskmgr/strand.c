/*
 * Strands: threads of control below a task that are no tasks of their own. Each has a context with a
 * token, in memory of its host; nothing is allocated, and one that never waits touches nothing that
 * it shares with others.
 *
 * Its memory goes back to the host when nobody refers to its token any more.
 *
 * Most are spawned by another of the same thread, end before it, and never wait: those are tied to it,
 * which that one counts. Only what others may look at, or what outlives the one above, has a reference.
 */
#include "strand.h"

#include "base/check.h"
#include "manager.h"

/* Below this many tokens a strand is put beside the one that spawned it, not below. */
#define DEPTH_MAX (TMGR_TOKEN_DEPTH_MAX / 2)

static struct tmgr__strand *strand_of(struct tmgr_context *context)
{
	return container_of(context, struct tmgr__strand, context);
}

static void release(struct tmgr_token *token)
{
	struct tmgr__strand *strand = container_of(token, struct tmgr__strand, token);

	strand->release(strand->owner);
}

size_t tmgr_strand_size(void)
{
	return sizeof(struct tmgr__strand);
}

/* What a strand's token is below. */
static struct tmgr_token *token_for(const struct tmgr_context *parent)
{
	struct tmgr_token *token = parent->token;

	/* A chain in which each makes the next would hold all that went before. */
	return token->depth >= DEPTH_MAX ? token->parent : token;
}

/* Its own token may not be below what fires it yet. */
static inline bool is_loose(const struct tmgr_context *parent)
{
	return parent->parent_token && !parent->attached;
}

/* Put it below a parent that is not loose. */
static inline void put_below(
	struct tmgr__strand *strand, struct tmgr_context *parent, bool same_thread)
{
	struct tmgr_token *token = token_for(parent);

	strand->context.record = parent->record;
	strand->context.parent_token = token;
	strand->tied_to = NULL;
	strand->tied = 0;
	strand->given_back = false;
	if (same_thread && token == parent->token) {
		strand->tied_to = strand_of(parent);
		strand->tied_to->tied++;
	} else {
		tmgr_token_ref(token);
	}
	tmgr__token_adopt(&strand->token, token);
}

/* From here on others may look at it, and upwards. */
static void refer_to_parent(struct tmgr__strand *strand)
{
	struct tmgr__strand *above = strand->tied_to;

	if (!above)
		return;
	strand->tied_to = NULL;
	if (above->given_back)
		return;
	above->tied--;
	tmgr_token_ref(&above->token);
}

/* Its owner is about to give it back: those that are tied to it may be there for longer. */
static void refer_from_tied(struct tmgr__strand *strand)
{
	__atomic_fetch_add(&strand->token.refs, strand->tied, __ATOMIC_RELAXED);
	strand->tied = 0;
	strand->given_back = true;
}

struct tmgr_context *tmgr_strand_init(void *memory, const struct tmgr_strand_setup *setup)
{
	struct tmgr__strand *strand = memory;
	struct tmgr_context *context = &strand->context;

	*context = (struct tmgr_context){
		.host = setup->host,
		.name = setup->name,
		.base = context,
		.token = &strand->token,
		.waiter = setup->waiter,
		.text = strand->text,
		.waiting_fd = -1,
	};
	tmgr__token_init(&strand->token, release);
	strand->release = setup->release;
	strand->owner = setup->owner;
	strand->text[0] = '\0';
	if (is_loose(setup->parent))
		tmgr__context_attach(setup->parent);
	put_below(strand, setup->parent, setup->same_thread);
	return context;
}

static inline void init_again(
	struct tmgr_context *context, struct tmgr_context *parent, bool same_thread)
{
	struct tmgr__strand *strand = strand_of(context);

	/* All else is as its end left it: nothing registered, nothing open. */
	context->value = NULL;
	context->waiting_fd = -1;
	tmgr__token_init_again(&strand->token);
	strand->text[0] = '\0';
	put_below(strand, parent, same_thread);
}

static __attribute__((noinline)) void init_again_below_loose(
	struct tmgr_context *context, struct tmgr_context *parent, bool same_thread)
{
	tmgr__context_attach(parent);
	init_again(context, parent, same_thread);
}

void tmgr_strand_init_again(
	struct tmgr_context *context, struct tmgr_context *parent, bool same_thread)
{
	if (is_loose(parent))
		init_again_below_loose(context, parent, same_thread);
	else
		init_again(context, parent, same_thread);
}

/* A strand has both tokens. */
static inline bool is_cancelled(const struct tmgr_context *context)
{
	return tmgr_token_fired(context->token) || tmgr_token_fired(context->parent_token);
}

int tmgr_strand_begin(struct tmgr_context *context)
{
	if (is_cancelled(context))
		return -ECANCELED;
	tmgr__context_enter(context);
	return 0;
}

bool tmgr_strand_end(struct tmgr_context *context)
{
	bool cancelled = is_cancelled(context);

	tmgr__context_leave(context);
	return cancelled;
}

int tmgr_strand_resume(struct tmgr_context *context, struct tmgr_context *above)
{
	struct tmgr_token *token = context ? context->token : NULL;

	if (!token || (!tmgr_token_fired(token) && !(above && token->parent == token_for(above))))
		return -EINVAL;
	context->waiter = above ? above->waiter : tmgr__waiter_own();
	context->host = above ? above->host : NULL;
	context->base = above ? above->base : context;
	if (above)
		context->record = above->record;
	context->lent_shield = above && above->shield_depth > 0;
	if (context->lent_shield && context->shield_depth++ == 0)
		context->shield_deadline = above->shield_deadline;
	context->outer = tmgr_context_switch(context);
	return 0;
}

void tmgr_strand_suspend(struct tmgr_context *context)
{
	if (context->lent_shield && context->shield_depth > 0)
		context->shield_depth--;
	context->lent_shield = false;
	/* The next wait of the same waiter may be another context's. */
	if (context->attached)
		tmgr_token_unregister(&context->callback);
	context->attached = false;
	tmgr_context_switch(context->outer);
}

void tmgr_strand_unref(struct tmgr_context *context)
{
	struct tmgr__strand *strand = strand_of(context), *above = strand->tied_to;
	struct tmgr_token *parent;

	if (strand->tied > 0)
		refer_from_tied(strand);
	/* One that has not waited was only put below its parent. */
	if (tmgr__token_leave_adopted(&strand->token, &parent)) {
		if (above && !above->given_back)
			above->tied--;
		else
			tmgr__token_let_go(parent);
		strand->release(strand->owner);
		return;
	}
	refer_to_parent(strand);
	/* With others below it, it stays what connects them with those above. */
	if (tmgr__token_alone(&strand->token) && tmgr__token_detach(&strand->token))
		strand->release(strand->owner);
	else
		tmgr_token_unref(&strand->token);
}

void tmgr__strand_link(struct tmgr_token *token)
{
	refer_to_parent(container_of(token, struct tmgr__strand, token));
	tmgr__token_link(token);
}

struct tmgr_token *tmgr_strand_token(struct tmgr_context *context)
{
	return context ? context->token : NULL;
}

void tmgr_strand_link(struct tmgr_context *context)
{
	if (context && !context->token->linked)
		tmgr__strand_link(context->token);
}

void tmgr_strand_keep_error(struct tmgr_context *context, int error)
{
	struct tmgr__strand *strand = strand_of(context);
	struct tmgr_manager *manager = context->record->manager;

	tmgr__manager_lock(manager);
	strand->entry = (struct tmgr_report_entry){
		.kind = TMGR_REPORT_ERROR,
		.stage = TMGR_STAGE_EXECUTE,
		.error = error,
		.name = context->name,
		.text = strand->text,
	};
	tmgr__manager_add_entry(manager, &strand->entry);
	strand->next_kept = manager->kept;
	manager->kept = strand;
	context->record->last_error = error;
	tmgr__manager_event(manager, TMGR_EVENT_FAILED, context->record, error, strand->text);
	tmgr__manager_unlock(manager);
}

void tmgr__strands_destroy(struct tmgr_manager *manager)
{
	struct tmgr__strand *strand;

	while ((strand = manager->kept)) {
		manager->kept = strand->next_kept;
		tmgr_strand_unref(&strand->context);
	}
}
