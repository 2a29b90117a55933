/* Templates and tables of the asynchronous calls: deep copies of what the application gave, counted by their users. */
#include <errno.h>
#include <stdlib.h>

#include "flow.h"

#define PER_TABLE_MAX 16

struct rte_flow_pattern_template {
	LIST_ENTRY(rte_flow_pattern_template) next;
	unsigned references;
	struct rte_flow_item *items;
};

struct rte_flow_actions_template {
	LIST_ENTRY(rte_flow_actions_template) next;
	unsigned references;
	struct rte_flow_action *actions, *masks;
};

struct rte_flow_template_table {
	LIST_ENTRY(rte_flow_template_table) next;
	struct rte_flow_attr attr;
	uint8_t pattern_count, actions_count;
	struct rte_flow_pattern_template *patterns[PER_TABLE_MAX];
	struct rte_flow_actions_template *actions[PER_TABLE_MAX];
};

static int fail(struct rte_flow_error *error, int code, const char *message)
{
	return rte_flow_error_set(error, code, RTE_FLOW_ERROR_TYPE_UNSPECIFIED, NULL, message);
}

/* A copy in one piece that free() frees; NULL with error set. */
static void *copy(enum rte_flow_conv_op what, const void *source, struct rte_flow_error *error)
{
	int bytes = rte_flow_conv(what, NULL, 0, source, error);

	if (bytes <= 0)
		return NULL;
	void *to = malloc((size_t)bytes);
	if (!to) {
		fail(error, ENOMEM, "no memory");
		return NULL;
	}
	if (rte_flow_conv(what, to, (size_t)bytes, source, error) <= 0) {
		free(to);
		return NULL;
	}
	return to;
}

struct rte_flow_pattern_template *slu_flow_template_pattern_create(struct rte_eth_dev *dev,
	const struct rte_flow_pattern_template_attr *attr, const struct rte_flow_item pattern[],
	struct rte_flow_error *error)
{
	struct slu_port *port = slu_port_of(dev);
	struct slu_flow_scope scope;

	if (attr->egress) {
		fail(error, ENOTSUP, "egress: the card looks at ingress only");
		return NULL;
	}
	slu_flow_scope_get(port, &scope);
	if (slu_flow_parse_pattern_template(&scope, pattern, error))
		return NULL;
	struct rte_flow_pattern_template *t = calloc(1, sizeof(*t));
	if (!t) {
		fail(error, ENOMEM, "no memory");
		return NULL;
	}
	t->items = copy(RTE_FLOW_CONV_OP_PATTERN, pattern, error);
	if (!t->items) {
		free(t);
		return NULL;
	}
	pthread_mutex_lock(&port->device->lock);
	LIST_INSERT_HEAD(&port->pattern_templates, t, next);
	pthread_mutex_unlock(&port->device->lock);
	return t;
}

int slu_flow_template_pattern_destroy(
	struct rte_eth_dev *dev, struct rte_flow_pattern_template *pattern, struct rte_flow_error *error)
{
	struct slu_device *d = slu_port_of(dev)->device;
	int code = 0;

	pthread_mutex_lock(&d->lock);
	if (pattern->references) {
		code = fail(error, EBUSY, "a table uses this template");
	} else {
		LIST_REMOVE(pattern, next);
		free(pattern->items);
		free(pattern);
	}
	pthread_mutex_unlock(&d->lock);
	return code;
}

static bool same_length(const struct rte_flow_action *a, const struct rte_flow_action *b)
{
	for (; a->type == b->type; a++, b++) {
		if (a->type == RTE_FLOW_ACTION_TYPE_END)
			return true;
	}
	return false;
}

struct rte_flow_actions_template *slu_flow_template_actions_create(struct rte_eth_dev *dev,
	const struct rte_flow_actions_template_attr *attr, const struct rte_flow_action actions[],
	const struct rte_flow_action masks[], struct rte_flow_error *error)
{
	struct slu_port *port = slu_port_of(dev);

	if (attr->egress || !same_length(actions, masks)) {
		fail(error, attr->egress ? ENOTSUP : EINVAL,
			attr->egress ? "egress: the card looks at ingress only"
				     : "actions and masks differ in their types");
		return NULL;
	}
	struct rte_flow_actions_template *t = calloc(1, sizeof(*t));
	if (!t) {
		fail(error, ENOMEM, "no memory");
		return NULL;
	}
	t->actions = copy(RTE_FLOW_CONV_OP_ACTIONS, actions, error);
	t->masks = t->actions ? copy(RTE_FLOW_CONV_OP_ACTIONS, masks, error) : NULL;
	if (!t->masks) {
		free(t->actions);
		free(t);
		return NULL;
	}
	pthread_mutex_lock(&port->device->lock);
	LIST_INSERT_HEAD(&port->actions_templates, t, next);
	pthread_mutex_unlock(&port->device->lock);
	return t;
}

int slu_flow_template_actions_destroy(
	struct rte_eth_dev *dev, struct rte_flow_actions_template *actions, struct rte_flow_error *error)
{
	struct slu_device *d = slu_port_of(dev)->device;
	int code = 0;

	pthread_mutex_lock(&d->lock);
	if (actions->references) {
		code = fail(error, EBUSY, "a table uses this template");
	} else {
		LIST_REMOVE(actions, next);
		free(actions->actions);
		free(actions->masks);
		free(actions);
	}
	pthread_mutex_unlock(&d->lock);
	return code;
}

struct rte_flow_template_table *slu_flow_template_table_create(struct rte_eth_dev *dev,
	const struct rte_flow_template_table_attr *attr, struct rte_flow_pattern_template *patterns[],
	uint8_t pattern_count, struct rte_flow_actions_template *actions[], uint8_t actions_count,
	struct rte_flow_error *error)
{
	struct slu_port *port = slu_port_of(dev);

	if (pattern_count == 0 || pattern_count > PER_TABLE_MAX || actions_count == 0 ||
		actions_count > PER_TABLE_MAX) {
		fail(error, EINVAL, "a table has 1 to 16 templates of either kind");
		return NULL;
	}
	struct rte_flow_template_table *t = calloc(1, sizeof(*t));
	if (!t) {
		fail(error, ENOMEM, "no memory");
		return NULL;
	}
	t->attr = attr->flow_attr;
	t->pattern_count = pattern_count;
	t->actions_count = actions_count;
	pthread_mutex_lock(&port->device->lock);
	for (unsigned i = 0; i < pattern_count; i++) {
		t->patterns[i] = patterns[i];
		patterns[i]->references++;
	}
	for (unsigned i = 0; i < actions_count; i++) {
		t->actions[i] = actions[i];
		actions[i]->references++;
	}
	LIST_INSERT_HEAD(&port->tables, t, next);
	pthread_mutex_unlock(&port->device->lock);
	return t;
}

static void release_table(struct rte_flow_template_table *table)
{
	for (unsigned i = 0; i < table->pattern_count; i++)
		table->patterns[i]->references--;
	for (unsigned i = 0; i < table->actions_count; i++)
		table->actions[i]->references--;
	LIST_REMOVE(table, next);
	free(table);
}

int slu_flow_template_table_destroy(
	struct rte_eth_dev *dev, struct rte_flow_template_table *table, struct rte_flow_error *error)
{
	struct slu_device *d = slu_port_of(dev)->device;

	(void)error;
	/* Rules keep nothing of their table: they live on until destroyed themselves. */
	pthread_mutex_lock(&d->lock);
	release_table(table);
	pthread_mutex_unlock(&d->lock);
	return 0;
}

bool slu_flow_template_view(const struct rte_flow_template_table *table, uint8_t pattern_index, uint8_t actions_index,
	struct slu_flow_template_view *view)
{
	if (pattern_index >= table->pattern_count || actions_index >= table->actions_count)
		return false;
	view->attr = &table->attr;
	view->items = table->patterns[pattern_index]->items;
	view->actions = table->actions[actions_index]->actions;
	view->masks = table->actions[actions_index]->masks;
	return true;
}

void slu_flow_template_close(struct slu_port *port)
{
	while (LIST_FIRST(&port->tables))
		release_table(LIST_FIRST(&port->tables));
	struct rte_flow_pattern_template *pattern;
	while ((pattern = LIST_FIRST(&port->pattern_templates))) {
		LIST_REMOVE(pattern, next);
		free(pattern->items);
		free(pattern);
	}
	struct rte_flow_actions_template *actions;
	while ((actions = LIST_FIRST(&port->actions_templates))) {
		LIST_REMOVE(actions, next);
		free(actions->actions);
		free(actions->masks);
		free(actions);
	}
}
