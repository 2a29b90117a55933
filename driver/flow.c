#include "flow.h"

#include <errno.h>
#include <stdlib.h>

#include "device.h"

/* By enum slu_flow_refusal. */
static const struct {
	int code;
	const char *message;
} refusals[] = {
	[SLU_FLOW_REFUSED_DUPLICATE] = {EEXIST, "a rule with this pattern is there already"},
	[SLU_FLOW_REFUSED_TAG_CLASH] = {EEXIST, "the card cannot tell this flow from another by its tag"},
	[SLU_FLOW_REFUSED_NO_SLOT] = {ENOSPC, "the flow table is full"},
	[SLU_FLOW_REFUSED_NO_NEXT_HOP] = {ENOSPC, "the next-hop table is full"},
	[SLU_FLOW_REFUSED_NO_ID] = {ENOSPC, "no flow statistics are left"},
	[SLU_FLOW_REFUSED_CARD] = {EIO, "the card does not answer"},
};

static int fail(struct rte_flow_error *error, int code, const char *message)
{
	return rte_flow_error_set(error, code, RTE_FLOW_ERROR_TYPE_UNSPECIFIED, NULL, message);
}

void slu_flow_check_card(struct slu_device *device)
{
	if (device->ring.timed_out)
		slu_device_announce_removal(device);
}

void slu_flow_scope_get(const struct slu_port *port, struct slu_flow_scope *scope)
{
	const struct slu_device *d = port->device;

	scope->ports = d->card.ports;
	scope->port = port->index;
	scope->queues = port->eth_dev->data->nb_rx_queues;
	for (unsigned i = 0; i < d->card.ports; i++) {
		const struct slu_port *other = d->ports[i];

		scope->ethdev_ids[i] = other ? other->eth_dev->data->port_id : RTE_MAX_ETHPORTS;
		if (other)
			memcpy(scope->macs[i], other->eth_dev->data->mac_addrs, 6);
		else
			memset(scope->macs[i], 0xFF, 6);
	}
}

static void hold_handles(struct rte_flow *flow, const struct slu_flow_request *request)
{
	flow->count_handle = (struct rte_flow_action_handle *)request->count_handle;
	flow->mac_handle = (struct rte_flow_action_handle *)request->mac_handle;
	if (flow->count_handle)
		flow->count_handle->references++;
	if (flow->mac_handle)
		flow->mac_handle->references++;
}

void slu_flow_free(struct rte_flow *flow)
{
	if (flow->count_handle)
		flow->count_handle->references--;
	if (flow->mac_handle)
		flow->mac_handle->references--;
	slu_flow_age_forget(flow);
	LIST_REMOVE(flow, next);
	free(flow);
}

static void free_done(struct slu_flow *base)
{
	slu_flow_free((struct rte_flow *)base);
}

struct rte_flow *slu_flow_begin(struct slu_port *port, const struct slu_flow_request *request,
	struct slu_flow_queue *queue, void *user_data, void (*done)(struct slu_flow *flow),
	struct rte_flow_error *error)
{
	struct slu_device *d = port->device;
	enum slu_flow_refusal refusal;
	struct rte_flow *flow = calloc(1, sizeof(*flow));

	if (!flow) {
		fail(error, ENOMEM, "no memory");
		return NULL;
	}
	if (!slu_device_table(d)) {
		free(flow);
		fail(error, EIO, "the card's flow table cannot be read");
		return NULL;
	}
	flow->port = port;
	flow->counts = request->count;
	flow->ages = request->age;
	flow->age_timeout_s = request->age_timeout_s;
	flow->age_context = request->age_context ? request->age_context : flow;
	flow->queue = queue;
	flow->user_data = user_data;
	flow->base.done = done;
	LIST_INSERT_HEAD(&port->flows, flow, next);
	hold_handles(flow, request);
	int code = slu_flow_table_insert(d->table, &flow->base, &request->rule,
		flow->count_handle ? &flow->count_handle->counter : NULL, flow->mac_handle, &refusal);
	if (code) {
		slu_flow_free(flow);
		fail(error, refusals[refusal].code, refusals[refusal].message);
		slu_flow_check_card(d);
		return NULL;
	}
	if (flow->ages)
		slu_flow_age_watch(flow);
	return flow;
}

int slu_flow_end(struct rte_flow *flow, void (*done)(struct slu_flow *flow))
{
	flow->dying = true;
	flow->base.done = done ? done : free_done;
	return slu_flow_table_remove(flow->port->device->table, &flow->base);
}

static int parse(struct slu_port *port, const struct rte_flow_attr *attr, const struct rte_flow_item pattern[],
	const struct rte_flow_action actions[], struct slu_flow_request *request, struct rte_flow_error *error)
{
	struct slu_flow_scope scope;

	slu_flow_scope_get(port, &scope);
	return slu_flow_parse(&scope, attr, pattern, actions, request, error);
}

static int flow_validate(struct rte_eth_dev *dev, const struct rte_flow_attr *attr,
	const struct rte_flow_item pattern[], const struct rte_flow_action actions[], struct rte_flow_error *error)
{
	struct slu_port *port = slu_port_of(dev);
	struct slu_flow_request request;

	pthread_mutex_lock(&port->device->lock);
	int result = parse(port, attr, pattern, actions, &request, error);
	pthread_mutex_unlock(&port->device->lock);
	return result;
}

static struct rte_flow *flow_create(struct rte_eth_dev *dev, const struct rte_flow_attr *attr,
	const struct rte_flow_item pattern[], const struct rte_flow_action actions[], struct rte_flow_error *error)
{
	struct slu_port *port = slu_port_of(dev);
	struct slu_flow_request request;
	struct rte_flow *flow = NULL;

	pthread_mutex_lock(&port->device->lock);
	if (parse(port, attr, pattern, actions, &request, error) == 0)
		flow = slu_flow_begin(port, &request, NULL, NULL, NULL, error);
	if (flow && slu_command_wait(&port->device->ring, &flow->base.op)) {
		slu_flow_free(flow);
		flow = NULL;
		fail(error, EIO, "the card refused the rule");
		slu_flow_check_card(port->device);
	}
	pthread_mutex_unlock(&port->device->lock);
	return flow;
}

/* Sleeps until everything begun before is done. */
static int settle(struct slu_device *d)
{
	struct slu_command_op op = {0};
	int error = slu_command_reserve(&d->ring);

	if (error)
		return error;
	slu_command_add(&d->ring, SLU_NIC_OPCODE_NOP, 0, 0);
	slu_command_commit(&d->ring, &op);
	return slu_command_wait(&d->ring, &op);
}

static int flow_destroy(struct rte_eth_dev *dev, struct rte_flow *flow, struct rte_flow_error *error)
{
	struct slu_device *d = slu_port_of(dev)->device;

	pthread_mutex_lock(&d->lock);
	int code = slu_flow_end(flow, NULL);
	if (code)
		slu_flow_free(flow);
	else
		code = settle(d);
	slu_flow_check_card(d);
	pthread_mutex_unlock(&d->lock);
	return code ? fail(error, EIO, "the card does not answer") : 0;
}

static int flush(struct slu_port *port)
{
	struct rte_flow *flow, *next;
	int code = 0;

	for (flow = LIST_FIRST(&port->flows); flow; flow = next) {
		next = LIST_NEXT(flow, next);
		if (flow->dying)
			continue; /* its queue reports it */
		int error = slu_flow_end(flow, NULL);
		if (error) {
			slu_flow_free(flow);
			code = error;
		}
	}
	return code ? code : settle(port->device);
}

static int flow_flush(struct rte_eth_dev *dev, struct rte_flow_error *error)
{
	struct slu_port *port = slu_port_of(dev);

	pthread_mutex_lock(&port->device->lock);
	int code = flush(port);
	slu_flow_check_card(port->device);
	pthread_mutex_unlock(&port->device->lock);
	return code ? fail(error, EIO, "the card does not answer") : 0;
}

static int query_one(
	struct rte_flow *flow, const struct rte_flow_action *action, void *data, struct rte_flow_error *error)
{
	int code;

	if (action->type == RTE_FLOW_ACTION_TYPE_COUNT && flow->counts)
		code = slu_flow_indirect_count(flow->port->device, flow->base.id,
			flow->count_handle ? &flow->count_handle->reset_at : &flow->reset_at, data);
	else if (action->type == RTE_FLOW_ACTION_TYPE_AGE && flow->ages)
		code = slu_flow_age_query(flow, data);
	else
		return rte_flow_error_set(error, ENOTSUP, RTE_FLOW_ERROR_TYPE_ACTION, action,
			"only COUNT and AGE can be queried, of a rule that has them");
	return code ? fail(error, EIO, "the card does not answer") : 0;
}

static int flow_query(struct rte_eth_dev *dev, struct rte_flow *flow, const struct rte_flow_action *actions, void *data,
	struct rte_flow_error *error)
{
	struct slu_device *d = slu_port_of(dev)->device;
	int code = 0;

	pthread_mutex_lock(&d->lock);
	for (; actions->type != RTE_FLOW_ACTION_TYPE_END && !code; actions++) {
		if (actions->type != RTE_FLOW_ACTION_TYPE_VOID)
			code = query_one(flow, actions, data, error);
	}
	slu_flow_check_card(d);
	pthread_mutex_unlock(&d->lock);
	return code;
}

static int flow_isolate(struct rte_eth_dev *dev, int set, struct rte_flow_error *error)
{
	(void)dev;
	if (!set)
		return 0;
	return rte_flow_error_set(error, ENOTSUP, RTE_FLOW_ERROR_TYPE_UNSPECIFIED, NULL,
		"isolated mode: frames without a rule always come to the host");
}

static int flow_transfer_proxy(struct rte_eth_dev *dev, uint16_t *proxy, struct rte_flow_error *error)
{
	(void)error;
	*proxy = dev->data->port_id; /* every port of the card can manage transfer rules */
	return 0;
}

static int flow_dump(struct rte_eth_dev *dev, struct rte_flow *only, FILE *file, struct rte_flow_error *error)
{
	struct slu_port *port = slu_port_of(dev);
	struct rte_flow *flow;

	(void)error;
	pthread_mutex_lock(&port->device->lock);
	LIST_FOREACH (flow, &port->flows, next) {
		if (!only || flow == only)
			fprintf(file, "flow %p slot 0x%x id %u next_hop %d%s\n", (void *)flow, flow->base.slot,
				flow->base.id, (int)flow->base.next_hop, flow->dying ? " dying" : "");
	}
	pthread_mutex_unlock(&port->device->lock);
	return 0;
}

void slu_flow_port_close(struct slu_port *port)
{
	struct slu_device *d = port->device;
	struct rte_flow *flow;

	pthread_mutex_lock(&d->lock);
	slu_flow_async_close(port);
	if (!d->warm && !slu_hw_gone(&d->hw))
		flush(port);
	/* What is left stays in the card for the next start; the shadow still points at it until the device goes. */
	while ((flow = LIST_FIRST(&port->flows))) {
		slu_flow_age_forget(flow);
		LIST_REMOVE(flow, next);
		flow->base.done = NULL;
		flow->count_handle = flow->mac_handle = NULL;
		LIST_INSERT_HEAD(&d->orphans, flow, next);
	}
	slu_flow_template_close(port);
	slu_flow_indirect_close(port);
	pthread_mutex_unlock(&d->lock);
}

const struct rte_flow_ops slu_flow_ops = {
	.validate = flow_validate,
	.create = flow_create,
	.destroy = flow_destroy,
	.flush = flow_flush,
	.query = flow_query,
	.isolate = flow_isolate,
	.dev_dump = flow_dump,
	.get_aged_flows = slu_flow_age_get,
	.pick_transfer_proxy = flow_transfer_proxy,
	.action_handle_create = slu_flow_indirect_create,
	.action_handle_destroy = slu_flow_indirect_destroy,
	.action_handle_update = slu_flow_indirect_update,
	.action_handle_query = slu_flow_indirect_query,
	.info_get = slu_flow_async_info,
	.configure = slu_flow_async_configure,
	.pattern_template_create = slu_flow_template_pattern_create,
	.pattern_template_destroy = slu_flow_template_pattern_destroy,
	.actions_template_create = slu_flow_template_actions_create,
	.actions_template_destroy = slu_flow_template_actions_destroy,
	.template_table_create = slu_flow_template_table_create,
	.template_table_destroy = slu_flow_template_table_destroy,
	.async_create = slu_flow_async_create,
	.async_destroy = slu_flow_async_destroy,
	.push = slu_flow_async_push,
	.pull = slu_flow_async_pull,
};
