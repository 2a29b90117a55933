#include "l7/tls/engine.h"

#include <errno.h>
#include <stdlib.h>

#include <openssl/async.h>

#include "l7/tls/provider.h"
#include "l7/tls/stream_state.h"

int slu_engine_create(struct event_base *base, struct slu_key_client *keys, struct slu_engine **result)
{
	struct slu_engine *engine = calloc(1, sizeof(*engine));

	if (engine == NULL)
		return -ENOMEM;
	engine->base = base;
	engine->keys = keys;
	TAILQ_INIT(&engine->ready);
	TAILQ_INIT(&engine->jobless);
	LIST_INIT(&engine->lingering);
	engine->turn = event_new(base, -1, 0, slu_handshake_turn, engine);
	engine->bio = slu_output_bio();
	engine->out = malloc(SLU_ENGINE_OUT_BYTES);
	engine->plain = malloc(SLU_ENGINE_RECORD_BYTES);
	if (engine->turn == NULL || engine->bio == NULL || engine->out == NULL || engine->plain == NULL ||
		slu_provider_load() != 0 || ASYNC_init_thread(SLU_ENGINE_JOBS_MAX, 0) != 1) {
		slu_engine_destroy(engine);
		return -ENOMEM;
	}
	*result = engine;
	return 0;
}

void slu_engine_destroy(struct slu_engine *engine)
{
	if (engine == NULL)
		return;
	slu_linger_end_all(engine);
	if (engine->turn != NULL)
		event_free(engine->turn);
	BIO_meth_free(engine->bio);
	free(engine->out);
	free(engine->plain);
	OPENSSL_cleanse(&engine->tickets, sizeof(engine->tickets));
	free(engine);
	ASYNC_cleanup_thread();
}
