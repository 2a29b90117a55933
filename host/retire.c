#include "host/retire.h"

#include <stdlib.h>

#include "host/dataplane/dataplane.h"

struct slu_retired {
	STAILQ_ENTRY(slu_retired) link;
	uint64_t token;
	void *what;
	void (*release)(void *context, void *what);
	void *context;
};

void slu_retire_init(struct slu_retirement *retirement, struct slu_dataplane *dp)
{
	retirement->dp = dp;
	STAILQ_INIT(&retirement->waiting);
}

void slu_retire_add(
	struct slu_retirement *retirement, void *what, void (*release)(void *context, void *what), void *context)
{
	struct slu_retired *retired;

	if (!what)
		return;
	retired = malloc(sizeof(*retired));
	if (!retired) {
		/* Without memory for the note: wait here. */
		slu_dataplane_synchronize(retirement->dp);
		release(context, what);
		return;
	}
	*retired = (struct slu_retired){.token = slu_dataplane_grace_start(retirement->dp),
		.what = what,
		.release = release,
		.context = context};
	STAILQ_INSERT_TAIL(&retirement->waiting, retired, link);
}

static void release_first(struct slu_retirement *retirement)
{
	struct slu_retired *retired = STAILQ_FIRST(&retirement->waiting);

	STAILQ_REMOVE_HEAD(&retirement->waiting, link);
	retired->release(retired->context, retired->what);
	free(retired);
}

bool slu_retire_poll(struct slu_retirement *retirement)
{
	/* Tokens only grow: the first that is not done ends the search. */
	while (!STAILQ_EMPTY(&retirement->waiting)) {
		if (!slu_dataplane_grace_done(retirement->dp, STAILQ_FIRST(&retirement->waiting)->token))
			return true;
		release_first(retirement);
	}
	return false;
}

void slu_retire_finish(struct slu_retirement *retirement)
{
	while (!STAILQ_EMPTY(&retirement->waiting))
		release_first(retirement);
}
