#include "l7/tls/ticket_refresh.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include <openssl/crypto.h>

#include "l7/keys/key_client.h"

#define RETRY_MS 250           /* nobody could be asked, or answered */
#define REFUSED_RETRY_MS 10000 /* a configuration that has no ticket keys for us */
#define REFRESH_MAX_S 3600

struct slu_ticket_refresh {
	struct slu_key_client *keys;
	struct slu_ticket_ring *ring;
	struct event *timer;
	struct slu_key_call call;
	bool is_asked;
	uint8_t tickets[SLU_KEY_TICKETS_MAX * sizeof(struct slu_key_ticket)];
};

static void again_after(struct slu_ticket_refresh *refresh, uint32_t ms)
{
	const struct timeval time = {ms / 1000, 1000 * (ms % 1000)};

	event_add(refresh->timer, &time);
}

static void on_answer(struct slu_key_call *call)
{
	struct slu_ticket_refresh *refresh = call->context;
	uint32_t refresh_s = call->refresh_s < REFRESH_MAX_S ? call->refresh_s : REFRESH_MAX_S;

	refresh->is_asked = false;
	if (call->error == 0)
		call->error = slu_ticket_ring_set(refresh->ring, refresh->tickets, call->answer_bytes);
	OPENSSL_cleanse(refresh->tickets, sizeof(refresh->tickets));
	if (call->error == -EACCES)
		again_after(refresh, REFUSED_RETRY_MS);
	else if (call->error != 0 || refresh_s == 0)
		again_after(refresh, RETRY_MS);
	else
		again_after(refresh, refresh_s * 1000);
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
	struct slu_ticket_refresh *refresh = context;

	(void)fd;
	(void)what;
	refresh->call = (struct slu_key_call){.operation = SLU_KEY_TICKET_KEYS,
		.done = on_answer,
		.context = refresh,
		.answer = refresh->tickets,
		.answer_room = sizeof(refresh->tickets)};
	refresh->is_asked = slu_key_client_ask(refresh->keys, &refresh->call) == 0;
	if (!refresh->is_asked)
		again_after(refresh, RETRY_MS);
}

int slu_ticket_refresh_create(struct event_base *base, struct slu_key_client *keys, struct slu_ticket_ring *ring,
	struct slu_ticket_refresh **result)
{
	struct slu_ticket_refresh *refresh = calloc(1, sizeof(*refresh));

	if (refresh == NULL)
		return -ENOMEM;
	refresh->keys = keys;
	refresh->ring = ring;
	refresh->timer = event_new(base, -1, 0, on_timer, refresh);
	if (refresh->timer == NULL) {
		free(refresh);
		return -ENOMEM;
	}
	event_active(refresh->timer, EV_TIMEOUT, 0);
	*result = refresh;
	return 0;
}

void slu_ticket_refresh_destroy(struct slu_ticket_refresh *refresh)
{
	if (refresh == NULL)
		return;
	if (refresh->is_asked)
		slu_key_client_cancel(refresh->keys, &refresh->call);
	event_free(refresh->timer);
	OPENSSL_cleanse(refresh->tickets, sizeof(refresh->tickets));
	free(refresh);
}
