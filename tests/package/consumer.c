/* What a user of an installed gyre writes first: one header, one call. Compiled as C and as C++. */

#include <gyre/version.h>
#include <stdio.h>

int main(void)
{
    printf("gyre %s\n", gy_version());
    return 0;
}
