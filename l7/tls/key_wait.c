#include "l7/tls/key_wait.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>

#include <openssl/async.h>

#include "l7/keys/key_client.h"

static _Thread_local struct slu_key_wait *current;

void slu_key_wait_enter(struct slu_key_wait *wait)
{
	assert(current == NULL);
	current = wait;
}

void slu_key_wait_leave(void)
{
	current = NULL;
}

struct slu_key_wait *slu_key_wait_current(void)
{
	return current;
}

static void on_answer(struct slu_key_call *call)
{
	struct slu_key_wait *wait = call->context;

	wait->call = NULL;
	wait->wake(wait);
}

int slu_key_wait_ask(struct slu_key_wait *wait, struct slu_key_call *call)
{
	if (ASYNC_get_current_job() == NULL)
		return -EWOULDBLOCK;
	if (wait->cancelled)
		return -ECANCELED;
	call->done = on_answer;
	call->context = wait;
	wait->error = slu_key_client_ask(wait->keys, call);
	if (wait->error != 0)
		return wait->error;
	wait->call = call;
	/* Whoever resumes the job for another reason finds it paused again. */
	while (wait->call != NULL && !wait->cancelled)
		if (ASYNC_pause_job() != 1) {
			slu_key_wait_cancel(wait);
			return wait->error = -ENOMEM;
		}
	wait->error = wait->cancelled ? -ECANCELED : call->error;
	return wait->error;
}

void slu_key_wait_cancel(struct slu_key_wait *wait)
{
	wait->cancelled = true;
	if (wait->call != NULL)
		slu_key_client_cancel(wait->keys, wait->call);
	wait->call = NULL;
}
