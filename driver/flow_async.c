/* Asynchronous rules: many operations on the command ring at once, their results on flow queues. */
#include <errno.h>
#include <stdlib.h>

#include "flow.h"

#define QUEUES_MAX 16
#define QUEUE_SIZE_MAX 16384
#define ITEMS_MAX 16
#define ACTIONS_MAX 32

struct slu_flow_queue {
	uint32_t size; /* operations that it holds: under way, or done and not pulled */
	uint32_t in_use;
	uint32_t head, done; /* results, a ring of `size` */
	struct rte_flow_op_result *results;
};

struct slu_flow_queues {
	unsigned count;
	struct slu_flow_queue queue[QUEUES_MAX];
};

static int fail(struct rte_flow_error *error, int code, const char *message)
{
	return rte_flow_error_set(error, code, RTE_FLOW_ERROR_TYPE_UNSPECIFIED, NULL, message);
}

int slu_flow_async_info(struct rte_eth_dev *dev, struct rte_flow_port_info *port_info,
	struct rte_flow_queue_info *queue_info, struct rte_flow_error *error)
{
	const struct slu_card *card = &slu_port_of(dev)->device->card;

	(void)error;
	memset(port_info, 0, sizeof(*port_info));
	port_info->max_nb_queues = QUEUES_MAX;
	port_info->max_nb_counters = 1u << card->flow_id_bits;
	port_info->max_nb_aging_objects = 1u << card->flow_id_bits;
	queue_info->max_size = QUEUE_SIZE_MAX;
	return 0;
}

static void free_queues(struct slu_flow_queues *queues)
{
	for (unsigned i = 0; queues && i < queues->count; i++)
		free(queues->queue[i].results);
	free(queues);
}

static bool busy(const struct slu_flow_queues *queues)
{
	for (unsigned i = 0; queues && i < queues->count; i++) {
		if (queues->queue[i].in_use)
			return true;
	}
	return false;
}

int slu_flow_async_configure(struct rte_eth_dev *dev, const struct rte_flow_port_attr *port_attr, uint16_t queues,
	const struct rte_flow_queue_attr *queue_attr[], struct rte_flow_error *error)
{
	struct slu_port *port = slu_port_of(dev);
	struct slu_flow_queues *made;

	if (port_attr->nb_meters || port_attr->nb_conn_tracks)
		return fail(error, ENOTSUP, "the card has no meters and no connection tracking");
	if (queues > QUEUES_MAX)
		return fail(error, EINVAL, "too many flow queues");
	made = calloc(1, sizeof(*made));
	if (!made)
		return fail(error, ENOMEM, "no memory");
	made->count = queues;
	for (unsigned i = 0; i < queues; i++) {
		struct slu_flow_queue *q = &made->queue[i];

		q->size = queue_attr[i]->size;
		q->results = q->size && q->size <= QUEUE_SIZE_MAX ? calloc(q->size, sizeof(*q->results)) : NULL;
		if (!q->results) {
			free_queues(made);
			return fail(error, EINVAL, "a flow queue holds 1 to 16384 operations");
		}
	}
	pthread_mutex_lock(&port->device->lock);
	int code = 0;
	if (busy(port->flow_queues)) {
		code = fail(error, EBUSY, "results of the flow queues are still to be pulled");
		free_queues(made);
	} else {
		free_queues(port->flow_queues);
		port->flow_queues = made;
	}
	pthread_mutex_unlock(&port->device->lock);
	return code;
}

static struct slu_flow_queue *queue_of(struct slu_port *port, uint32_t queue)
{
	return port->flow_queues && queue < port->flow_queues->count ? &port->flow_queues->queue[queue] : NULL;
}

static void report(struct slu_flow_queue *q, int error, void *user_data)
{
	q->results[(q->head + q->done++) % q->size] = (struct rte_flow_op_result){
		.status = error ? RTE_FLOW_OP_ERROR : RTE_FLOW_OP_SUCCESS, .user_data = user_data};
}

static void report_create(struct slu_flow *base)
{
	struct rte_flow *flow = (struct rte_flow *)base;
	struct slu_flow_queue *q = flow->queue;

	/* A rule that the card refused stays a rule to its owner, who destroys it as any other. */
	flow->queue = NULL;
	base->done = NULL;
	report(q, base->op.error, flow->user_data);
}

static void report_destroy(struct slu_flow *base)
{
	struct rte_flow *flow = (struct rte_flow *)base;

	report(flow->queue, base->op.error, flow->user_data);
	slu_flow_free(flow);
}

/* Values of the rule, masks of its template. */
static int merge_items(const struct rte_flow_item *masks, const struct rte_flow_item *specs,
	struct rte_flow_item merged[ITEMS_MAX], struct rte_flow_error *error)
{
	for (unsigned i = 0; i < ITEMS_MAX; i++) {
		if (specs[i].type != masks[i].type)
			return rte_flow_error_set(error, EINVAL, RTE_FLOW_ERROR_TYPE_ITEM, &specs[i],
				"the pattern is not that of its template");
		merged[i] = (struct rte_flow_item){.type = masks[i].type, .spec = specs[i].spec, .mask = masks[i].mask};
		if (masks[i].type == RTE_FLOW_ITEM_TYPE_END)
			return 0;
	}
	return fail(error, EINVAL, "too many items");
}

static bool is_constant(const struct rte_flow_action *mask)
{
	/* A mask is all or nothing here, so its first byte says it. MODIFY_FIELD has its value with each rule. */
	const uint8_t *mask_bytes = mask->conf;

	return mask_bytes && mask->type != RTE_FLOW_ACTION_TYPE_MODIFY_FIELD &&
	       mask->type != RTE_FLOW_ACTION_TYPE_INDIRECT && mask_bytes[0] != 0;
}

static int merge_actions(const struct slu_flow_template_view *view, const struct rte_flow_action *given,
	struct rte_flow_action merged[ACTIONS_MAX], struct rte_flow_error *error)
{
	for (unsigned i = 0; i < ACTIONS_MAX; i++) {
		const struct rte_flow_action *t = &view->actions[i];

		if (given[i].type != t->type)
			return rte_flow_error_set(error, EINVAL, RTE_FLOW_ERROR_TYPE_ACTION, &given[i],
				"the actions are not those of their template");
		merged[i].type = t->type;
		merged[i].conf = is_constant(&view->masks[i]) || !given[i].conf ? t->conf : given[i].conf;
		if (t->type == RTE_FLOW_ACTION_TYPE_END)
			return 0;
	}
	return fail(error, EINVAL, "too many actions");
}

static struct rte_flow *create(struct slu_port *port, struct slu_flow_queue *q,
	const struct slu_flow_template_view *view, const struct rte_flow_item pattern[],
	const struct rte_flow_action actions[], void *user_data, struct rte_flow_error *error)
{
	struct rte_flow_item items[ITEMS_MAX];
	struct rte_flow_action merged[ACTIONS_MAX];
	struct slu_flow_request request;
	struct slu_flow_scope scope;

	slu_flow_scope_get(port, &scope);
	if (merge_items(view->items, pattern, items, error) || merge_actions(view, actions, merged, error) ||
		slu_flow_parse(&scope, view->attr, items, merged, &request, error))
		return NULL;
	return slu_flow_begin(port, &request, q, user_data, report_create, error);
}

struct rte_flow *slu_flow_async_create(struct rte_eth_dev *dev, uint32_t queue, const struct rte_flow_op_attr *attr,
	struct rte_flow_template_table *table, const struct rte_flow_item pattern[], uint8_t pattern_index,
	const struct rte_flow_action actions[], uint8_t actions_index, void *user_data, struct rte_flow_error *error)
{
	struct slu_port *port = slu_port_of(dev);
	struct slu_flow_template_view view;
	struct rte_flow *flow = NULL;

	pthread_mutex_lock(&port->device->lock);
	struct slu_flow_queue *q = queue_of(port, queue);
	if (!q || !slu_flow_template_view(table, pattern_index, actions_index, &view)) {
		fail(error, EINVAL, "no such flow queue or template");
	} else if (q->in_use == q->size) {
		fail(error, EAGAIN, "the flow queue is full");
	} else {
		q->in_use++;
		flow = create(port, q, &view, pattern, actions, user_data, error);
		if (!flow)
			q->in_use--;
		else if (!attr->postpone)
			slu_command_kick(&port->device->ring);
	}
	pthread_mutex_unlock(&port->device->lock);
	return flow;
}

int slu_flow_async_destroy(struct rte_eth_dev *dev, uint32_t queue, const struct rte_flow_op_attr *attr,
	struct rte_flow *flow, void *user_data, struct rte_flow_error *error)
{
	struct slu_port *port = slu_port_of(dev);
	int code = 0;

	pthread_mutex_lock(&port->device->lock);
	struct slu_flow_queue *q = queue_of(port, queue);
	if (!q) {
		code = fail(error, EINVAL, "no such flow queue");
	} else if (q->in_use == q->size) {
		code = fail(error, EAGAIN, "the flow queue is full");
	} else {
		if (!flow->base.op.done) /* its creation reports to its own queue first */
			slu_command_wait(&port->device->ring, &flow->base.op);
		flow->queue = q;
		flow->user_data = user_data;
		q->in_use++;
		if (slu_flow_end(flow, report_destroy)) {
			q->in_use--;
			slu_flow_free(flow);
			code = fail(error, EIO, "the card does not answer");
		} else if (!attr->postpone) {
			slu_command_kick(&port->device->ring);
		}
	}
	pthread_mutex_unlock(&port->device->lock);
	return code;
}

int slu_flow_async_push(struct rte_eth_dev *dev, uint32_t queue, struct rte_flow_error *error)
{
	struct slu_port *port = slu_port_of(dev);

	(void)queue;
	(void)error;
	pthread_mutex_lock(&port->device->lock);
	slu_command_kick(&port->device->ring);
	pthread_mutex_unlock(&port->device->lock);
	return 0;
}

int slu_flow_async_pull(struct rte_eth_dev *dev, uint32_t queue, struct rte_flow_op_result results[], uint16_t count,
	struct rte_flow_error *error)
{
	struct slu_port *port = slu_port_of(dev);
	int n = 0;

	pthread_mutex_lock(&port->device->lock);
	struct slu_flow_queue *q = queue_of(port, queue);
	if (!q) {
		n = fail(error, EINVAL, "no such flow queue");
	} else {
		slu_command_poll(&port->device->ring);
		for (; n < count && q->done; n++) {
			results[n] = q->results[q->head];
			q->head = (q->head + 1) % q->size;
			q->done--;
			q->in_use--;
		}
	}
	pthread_mutex_unlock(&port->device->lock);
	return n;
}

/* Rules under way report to queues: wait for them before the queues go. */
void slu_flow_async_close(struct slu_port *port)
{
	struct rte_flow *flow = LIST_FIRST(&port->flows);

	while (flow) {
		if (flow->queue && !flow->base.op.done) {
			slu_command_wait(&port->device->ring, &flow->base.op);
			flow = LIST_FIRST(&port->flows); /* rules on their way out are freed as they report */
		} else {
			flow = LIST_NEXT(flow, next);
		}
	}
	free_queues(port->flow_queues);
	port->flow_queues = NULL;
}
