#include "host/session_view.h"

#include <string.h>

static void fill_session(const struct slu_session_snapshot *from, struct slu_api_session *to)
{
	memset(to, 0, sizeof(*to));
	to->listener_id = from->listener_id;
	to->backend_id = from->backend_id;
	to->vpc = from->vpc;
	to->protocol = from->protocol;
	to->mode = from->mode;
	to->client = from->client;
	to->vip = from->virtual_ip;
	if (from->mode != SLU_MODE_NAT)
		to->local = from->local;
	to->backend = from->backend;
	to->client_port = from->client_port;
	to->vip_port = from->virtual_port;
	to->local_port = from->mode != SLU_MODE_NAT ? from->local_port : 0;
	to->backend_port = from->backend_port;
	to->state = slu_session_state_name(from->protocol, from->state);
	to->node = from->owner_node;
	to->passive = from->passive;
	to->worker = from->worker;
	to->age_s = from->age_ms / 1000;
	to->idle_s = from->idle_ms / 1000;
	to->expires_s = from->expires_ms / 1000;
	to->request = (struct slu_api_direction){.card = from->owner[SLU_DIR_REQUEST] == SLU_OWNER_CARD,
		.packets = from->packets[SLU_DIR_REQUEST],
		.bytes = from->bytes[SLU_DIR_REQUEST]};
	to->reply = (struct slu_api_direction){.card = from->owner[SLU_DIR_REPLY] == SLU_OWNER_CARD,
		.packets = from->packets[SLU_DIR_REPLY],
		.bytes = from->bytes[SLU_DIR_REPLY]};
}

bool slu_session_view_walk(
	struct slu_dataplane *dp, uint64_t *cursor, uint32_t budget, slu_api_session_fn *show, void *arg)
{
	struct slu_session_snapshot snapshot;
	struct slu_api_session session;

	/* One at a time: the caller may stop behind any of them, and the cursor must then stand there. */
	while (budget-- > 0) {
		if (slu_dataplane_sessions(dp, cursor, &snapshot, 1) == 0)
			return false;
		fill_session(&snapshot, &session);
		if (!show(arg, &session))
			return true;
	}
	return true;
}
