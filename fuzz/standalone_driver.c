/* standalone_driver.c: runs a fuzz target over the files of a corpus folder, so that gcc's sanitizers see them too.
 * With a number as a second argument it also runs that many random mutations of each file. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t state = 0x9E3779B97F4A7C15u;

static uint64_t next_random(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static void run_mutations(const uint8_t *seed, size_t size, long count)
{
    for (long i = 0; i < count; i++) {
        /* Exactly as large as the input, so that a read past its end is seen. */
        size_t length = size ? next_random() % (size + 1) : 0;
        if (next_random() % 2)
            length = size;
        uint8_t *data = malloc(length ? length : 1);
        if (!data)
            abort();
        memcpy(data, seed, length);
        for (uint64_t n = next_random() % 8; length && n > 0; n--)
            data[next_random() % length] = (uint8_t)next_random();
        LLVMFuzzerTestOneInput(data, length);
        free(data);
    }
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: %s CORPUS_FOLDER [MUTATIONS]\n", argv[0]);
        return 2;
    }
    long mutations = argc > 2 ? atol(argv[2]) : 0;
    DIR *folder = opendir(argv[1]);
    if (!folder) {
        perror(argv[1]);
        return 1;
    }
    int files = 0;
    for (struct dirent *entry; (entry = readdir(folder));) {
        if (entry->d_name[0] == '.')
            continue;
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", argv[1], entry->d_name);
        FILE *file = fopen(path, "rb");
        if (!file) {
            perror(path);
            return 1;
        }
        fseek(file, 0, SEEK_END);
        long size = ftell(file);
        rewind(file);
        uint8_t *data = malloc(size > 0 ? (size_t)size : 1);
        if (!data || size < 0 || fread(data, 1, (size_t)size, file) != (size_t)size)
            return 1;
        fclose(file);
        LLVMFuzzerTestOneInput(data, (size_t)size);
        run_mutations(data, (size_t)size, mutations);
        free(data);
        files++;
    }
    closedir(folder);
    printf("%d inputs\n", files);
    return files > 0 ? 0 : 1;
}
