"""Indexes vectors with hnswlib or faiss, and prints for each ef one JSON line as `siamese bench index --json` does."""
import argparse, json, os, pathlib, time
import numpy as np
from vector_files import NEIGHBOURS, read_rows, unit

a = argparse.ArgumentParser()
a.add_argument("--engine", required=True, choices=["hnswlib", "faiss"])
for name in ("base", "query", "truth"):
    a.add_argument("--" + name, required=True, type=pathlib.Path)
a.add_argument("--ef", required=True, help="numbers with commas between")
a.add_argument("--threads", type=int, default=2)
a.add_argument("--m", type=int, default=16)
a.add_argument("--ef-construction", type=int, default=200)
o = a.parse_args()


def resident_bytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def hnswlib_index():
    import hnswlib
    index = hnswlib.Index("ip", base.shape[1])
    index.init_index(len(base), M=o.m, ef_construction=o.ef_construction)
    index.set_num_threads(o.threads)
    index.add_items(base)
    index.set_num_threads(1)

    def search(query, ef):
        index.set_ef(ef)
        return index.knn_query(query, NEIGHBOURS)[0][0]
    return search


def faiss_index():
    import faiss
    faiss.omp_set_num_threads(o.threads)
    index = faiss.IndexHNSWFlat(base.shape[1], o.m, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = o.ef_construction
    index.add(base)
    faiss.omp_set_num_threads(1)

    def search(query, ef):
        index.hnsw.efSearch = ef
        return index.search(query[None], NEIGHBOURS)[1][0]
    return search


base, queries = unit(read_rows(o.base, "<f4")), unit(read_rows(o.query, "<f4"))
truth = read_rows(o.truth, "<i4")[:, :NEIGHBOURS]
build = {"hnswlib": hnswlib_index, "faiss": faiss_index}[o.engine]
before, start = resident_bytes(), time.perf_counter()
search = build()
build_s, grown = time.perf_counter() - start, resident_bytes() - before
for ef in map(int, o.ef.split(",")):
    start = time.perf_counter()
    found = [search(query, ef) for query in queries]
    seconds = time.perf_counter() - start
    recall = np.mean([np.isin(right, rows).mean() for right, rows in zip(truth, found)])
    print(json.dumps({"engine": o.engine, "build_s": round(build_s, 1), "ef": ef, "recall_at_10": round(float(recall), 4),
                      "qps": round(len(queries) / seconds), "bytes_per_vector": grown // len(base)}), flush=True)
