/* proxy.h - an actor that joins each connection it accepts to one that it makes. */
#ifndef PROXY_H
#define PROXY_H

#include <gyre/typed.h>

#define PROXY_PAIRS 4096      /* on each shard; more clients are turned away */
#define PROXY_BACKENDS_MAX 8

struct proxy_args {
    const char *listen;          /* borrowed, lives for ever; so do the others */
    const char *const *backends; /* the first that answers, for each client anew */
    unsigned backends_n;
};
GY_ACTOR(proxy);

#endif
