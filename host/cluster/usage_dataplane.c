#include "host/cluster/usage_dataplane.h"

#include "host/dataplane/dataplane.h"

static void read_counts(void *context, bool backend, uint32_t live, uint64_t *present, uint64_t *untold)
{
	struct slu_dataplane *dp = context;
	struct slu_live_counters counters;

	if (backend)
		slu_dataplane_backend_counters(dp, live, &counters);
	else
		slu_dataplane_listener_counters(dp, live, &counters);
	*present = counters.active + counters.inactive;
	*untold = counters.untold;
}

static void set_elsewhere(void *context, uint32_t live, uint32_t sessions)
{
	struct slu_dataplane *dp = context;

	slu_dataplane_set_elsewhere(dp, live, sessions);
}

static void set_ceiling(void *context, uint32_t live, uint32_t sessions)
{
	struct slu_dataplane *dp = context;

	slu_dataplane_set_ceiling(dp, live, sessions);
}

struct slu_usage *slu_usage_dataplane_create(struct slu_dataplane *dp)
{
	const struct slu_usage_hooks hooks = {dp, read_counts, set_elsewhere, set_ceiling};

	return slu_usage_create(&hooks);
}
