#include "flow_id.h"

#include <errno.h>
#include <stdlib.h>

struct free_id {
	uint32_t id, epoch;
};

struct slu_flow_ids {
	uint32_t count;
	uint32_t *references;  /* [count] */
	struct free_id *queue; /* [count], from head on, `free` of them */
	uint32_t head, free;
};

static void push_free(struct slu_flow_ids *ids, uint32_t id, uint32_t epoch)
{
	ids->queue[(ids->head + ids->free) & (ids->count - 1)] = (struct free_id){id, epoch};
	ids->free++;
}

int slu_flow_id_create(uint32_t bits, struct slu_flow_ids **ids)
{
	struct slu_flow_ids *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->count = 1u << bits;
	f->references = calloc(f->count, sizeof(*f->references));
	f->queue = malloc(f->count * sizeof(*f->queue));
	if (!f->references || !f->queue) {
		slu_flow_id_destroy(f);
		return -ENOMEM;
	}
	slu_flow_id_sweep(f, 0);
	*ids = f;
	return 0;
}

void slu_flow_id_destroy(struct slu_flow_ids *ids)
{
	if (!ids)
		return;
	free(ids->references);
	free(ids->queue);
	free(ids);
}

int slu_flow_id_alloc(struct slu_flow_ids *ids, uint32_t *id, uint32_t *epoch)
{
	if (!ids->free)
		return -ENOSPC;
	*id = ids->queue[ids->head].id;
	*epoch = ids->queue[ids->head].epoch;
	ids->head = (ids->head + 1) & (ids->count - 1);
	ids->free--;
	ids->references[*id] = 1;
	return 0;
}

void slu_flow_id_hold(struct slu_flow_ids *ids, uint32_t id)
{
	ids->references[id]++;
}

void slu_flow_id_put(struct slu_flow_ids *ids, uint32_t id, uint32_t epoch)
{
	if (--ids->references[id] == 0)
		push_free(ids, id, epoch);
}

bool slu_flow_id_restore(struct slu_flow_ids *ids, uint32_t id)
{
	if (id >= ids->count)
		return false;
	ids->references[id]++;
	return true;
}

void slu_flow_id_sweep(struct slu_flow_ids *ids, uint32_t epoch)
{
	ids->head = 0;
	ids->free = 0;
	for (uint32_t id = 0; id < ids->count; id++) {
		if (!ids->references[id])
			push_free(ids, id, epoch);
	}
}
