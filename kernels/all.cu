// Every kernel, as one image.
#include "basis.cu"
#include "elementwise.cu"
#include "embed.cu"
#include "encode.cu"
#include "keyswitch.cu"
#include "matmul.cu"
#include "ntt.cu"
#include "sums.cu"
