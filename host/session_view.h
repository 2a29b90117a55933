/* Sessions of a data plane as the API shows them. Control thread only. */
#ifndef SLU_HOST_SESSION_VIEW_H
#define SLU_HOST_SESSION_VIEW_H

#include "host/control/api.h"
#include "host/dataplane/dataplane.h"

/* The walk of struct slu_api_providers, `sessions`. */
bool slu_session_view_walk(
	struct slu_dataplane *dp, uint64_t *cursor, uint32_t budget, slu_api_session_fn *show, void *arg);

#endif
