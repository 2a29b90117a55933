/* Indirect actions: a counter to share and to keep, and a destination MAC that changes under its rules. */
#include <errno.h>
#include <stdlib.h>

#include "flow.h"

static int fail(struct rte_flow_error *error, int code, const void *cause, const char *message)
{
	return rte_flow_error_set(
		error, code, cause ? RTE_FLOW_ERROR_TYPE_ACTION : RTE_FLOW_ERROR_TYPE_UNSPECIFIED, cause, message);
}

struct rte_flow_action_handle *slu_flow_indirect_create(struct rte_eth_dev *dev,
	const struct rte_flow_indir_action_conf *conf, const struct rte_flow_action *action,
	struct rte_flow_error *error)
{
	struct slu_port *port = slu_port_of(dev);
	bool mac = action->type == RTE_FLOW_ACTION_TYPE_SET_MAC_DST;

	if ((!mac && action->type != RTE_FLOW_ACTION_TYPE_COUNT) || (conf && conf->egress)) {
		fail(error, ENOTSUP, action, "indirect actions: COUNT and SET_MAC_DST, of ingress or transfer rules");
		return NULL;
	}
	if (mac && !action->conf) {
		fail(error, EINVAL, action, "SET_MAC_DST needs a configuration");
		return NULL;
	}
	struct rte_flow_action_handle *handle = calloc(1, sizeof(*handle));
	if (!handle) {
		fail(error, ENOMEM, NULL, "no memory");
		return NULL;
	}
	handle->indirect.type = action->type;
	handle->counter.id = SLU_FLOW_NO_ID; /* the first rule's: so a rule found in the card keeps its statistics */
	if (mac)
		memcpy(handle->indirect.mac, ((const struct rte_flow_action_set_mac *)action->conf)->mac_addr, 6);
	pthread_mutex_lock(&port->device->lock);
	LIST_INSERT_HEAD(&port->handles, handle, next);
	pthread_mutex_unlock(&port->device->lock);
	return handle;
}

static void release(struct slu_device *d, struct rte_flow_action_handle *handle)
{
	if (d->table) {
		slu_flow_table_counter_close(d->table, &handle->counter);
		slu_flow_table_forget_handle(d->table, handle);
	}
	LIST_REMOVE(handle, next);
	free(handle);
}

int slu_flow_indirect_destroy(
	struct rte_eth_dev *dev, struct rte_flow_action_handle *handle, struct rte_flow_error *error)
{
	struct slu_device *d = slu_port_of(dev)->device;
	int code = 0;

	pthread_mutex_lock(&d->lock);
	if (handle->references)
		code = fail(error, EBUSY, NULL, "rules still use this action");
	else
		release(d, handle);
	pthread_mutex_unlock(&d->lock);
	return code;
}

int slu_flow_indirect_update(struct rte_eth_dev *dev, struct rte_flow_action_handle *handle, const void *update,
	struct rte_flow_error *error)
{
	struct slu_device *d = slu_port_of(dev)->device;
	/* 22.11: the new action itself, as it was given at creation. */
	const struct rte_flow_action *action = update;

	if (handle->indirect.type != RTE_FLOW_ACTION_TYPE_SET_MAC_DST ||
		action->type != RTE_FLOW_ACTION_TYPE_SET_MAC_DST || !action->conf)
		return fail(error, ENOTSUP, NULL, "only SET_MAC_DST can be updated, with another SET_MAC_DST");
	pthread_mutex_lock(&d->lock);
	memcpy(handle->indirect.mac, ((const struct rte_flow_action_set_mac *)action->conf)->mac_addr, 6);
	/* Without a table no rule has it yet. */
	int code = d->table ? slu_flow_table_set_mac(d->table, handle, handle->indirect.mac) : 0;
	slu_flow_check_card(d);
	pthread_mutex_unlock(&d->lock);
	return code ? fail(error, EIO, NULL, "the card does not answer") : 0;
}

int slu_flow_indirect_count(
	struct slu_device *device, uint32_t id, struct slu_flow_count *reset_at, struct rte_flow_query_count *query)
{
	struct slu_flow_stats stats = {0};

	if (id != SLU_FLOW_NO_ID) {
		int error = slu_flow_table_stats(device->table, id, &stats);

		if (error)
			return error;
	}
	query->hits = stats.packets - reset_at->packets;
	query->bytes = stats.bytes - reset_at->bytes;
	query->hits_set = query->bytes_set = 1;
	if (query->reset)
		*reset_at = (struct slu_flow_count){stats.packets, stats.bytes};
	return 0;
}

int slu_flow_indirect_query(
	struct rte_eth_dev *dev, const struct rte_flow_action_handle *handle, void *data, struct rte_flow_error *error)
{
	struct slu_device *d = slu_port_of(dev)->device;
	struct rte_flow_action_handle *h = (struct rte_flow_action_handle *)(uintptr_t)handle;

	if (handle->indirect.type != RTE_FLOW_ACTION_TYPE_COUNT)
		return fail(error, ENOTSUP, NULL, "only COUNT can be queried");
	pthread_mutex_lock(&d->lock);
	int code = slu_flow_indirect_count(d, h->counter.id, &h->reset_at, data);
	slu_flow_check_card(d);
	pthread_mutex_unlock(&d->lock);
	return code ? fail(error, EIO, NULL, "the card does not answer") : 0;
}

void slu_flow_indirect_close(struct slu_port *port)
{
	struct rte_flow_action_handle *handle;

	while ((handle = LIST_FIRST(&port->handles)))
		release(port->device, handle);
}
