/* Stand-ins until streams land. */
#include "core/kernel.h"
int gy__streams_open(struct gy_shard *s){(void)s;return 0;}
void gy__streams_started(struct gy_shard *s){(void)s;}
void gy__streams_flush(struct gy_shard *s){(void)s;}
void gy__streams_drain(struct gy_shard *s){(void)s;}
void gy__streams_stop(struct gy_shard *s){(void)s;}
void gy__streams_actor_died(struct gy_shard *s, struct gy_actor *a){(void)s;(void)a;}
