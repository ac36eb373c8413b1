import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.EncoderFactory;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.GlobalKTable;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.KGroupedStream;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.KTable;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.SessionWindows;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.kstream.Windowed;
import org.apache.kafka.streams.state.Stores;

/**
 * The peer in Java, configured by BENCH_* environment variables. Pages are a GlobalKTable in memory; counts are in the
 * default store, RocksDB, with the default cache. Views travel as bytes, so that the record that Avro decodes into can
 * be reused; what is repartitioned is the group as key and one byte as value.
 */
public final class KafkaStreamsBench {
    private static final byte[] ONE = {1};
    private static final int HEADER = 5;

    /** Reads and writes one schema in the registry's wire format; not thread-safe. */
    static final class Codec {
        private final GenericDatumReader<GenericRecord> reader;
        private final GenericDatumWriter<GenericRecord> writer;
        private final byte[] header;
        private final ByteArrayOutputStream out = new ByteArrayOutputStream(256);
        private BinaryDecoder decoder;
        private BinaryEncoder encoder;
        private GenericRecord reused;

        Codec(Schema schema, int id) {
            reader = new GenericDatumReader<>(schema);
            writer = new GenericDatumWriter<>(schema);
            header = ByteBuffer.allocate(HEADER).put((byte) 0).putInt(id).array();
        }

        GenericRecord decode(byte[] value) {
            try {
                decoder = DecoderFactory.get().binaryDecoder(value, HEADER, value.length - HEADER, decoder);
                return reused = reader.read(reused, decoder);
            } catch (IOException e) {
                throw new IllegalArgumentException(e);
            }
        }

        byte[] encode(GenericRecord row) {
            try {
                out.reset();
                out.write(header, 0, HEADER);
                encoder = EncoderFactory.get().binaryEncoder(out, encoder);
                writer.write(row, encoder);
                encoder.flush();
                return out.toByteArray();
            } catch (IOException e) {
                throw new IllegalArgumentException(e);
            }
        }
    }

    record Page(String group, String name) {}

    private static String env(String name) {
        return System.getenv("BENCH_" + name);
    }

    private static long number(String name) {
        return Long.parseLong(env(name));
    }

    private static Schema schema(String name) throws IOException {
        return new Schema.Parser().parse(Path.of(env("FOLDER"), name + ".avsc").toFile());
    }

    private static String text(Object value) {
        return value == null ? null : value.toString();
    }

    public static void main(String[] arguments) throws Exception {
        var streams = new KafkaStreams(topology().build(), properties());
        var done = new CountDownLatch(1);
        streams.setUncaughtExceptionHandler(error -> {
            error.printStackTrace();
            System.exit(1);
            return null;
        });
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            streams.close(Duration.ofSeconds(15));
            done.countDown();
        }));
        streams.start();
        done.await();
    }

    private static Properties properties() {
        var it = new Properties();
        it.put(StreamsConfig.APPLICATION_ID_CONFIG, env("APP_ID"));
        it.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, env("BOOTSTRAP"));
        it.put(StreamsConfig.STATE_DIR_CONFIG, env("FOLDER") + "/streams");
        it.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, env("THREADS"));
        it.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, env("COMMIT_INTERVAL_MS"));
        it.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG,
            env("GUARANTEE").equals("exactly_once") ? StreamsConfig.EXACTLY_ONCE_V2 : StreamsConfig.AT_LEAST_ONCE);
        it.put("auto.offset.reset", "earliest");
        return it;
    }

    private static StreamsBuilder topology() throws IOException {
        var builder = new StreamsBuilder();
        var pageSchema = schema("page");
        var pageCodec = ThreadLocal.withInitial(() -> new Codec(pageSchema, 0));
        Serde<Page> pageSerde = Serdes.serdeFrom((topic, page) -> {
            throw new UnsupportedOperationException();
        }, (topic, value) -> {
            if (value == null) {
                return null;
            }
            GenericRecord row = pageCodec.get().decode(value);
            return new Page(text(row.get("page_group")), text(row.get("page_name")));
        });
        GlobalKTable<String, Page> pages = builder.globalTable(env("PAGES"), Consumed.with(Serdes.String(), pageSerde),
            Materialized.<String, Page>as(Stores.inMemoryKeyValueStore("pages"))
                .withKeySerde(Serdes.String()).withValueSerde(pageSerde));
        KStream<byte[], byte[]> views =
            builder.stream(env("INPUT"), Consumed.with(Serdes.ByteArray(), Serdes.ByteArray()));
        var viewSchema = schema("view");
        var viewCodec = ThreadLocal.withInitial(() -> new Codec(viewSchema, 0));
        int id = (int) number("OUTPUT_SCHEMA_ID");
        if (env("KIND").equals("enrichment")) {
            enrich(views, pages, viewCodec, schema("enriched"), id);
        } else {
            KGroupedStream<String, byte[]> groups = views
                .join(pages, (key, view) -> viewCodec.get().decode(view).get("pageid").toString(),
                    (view, page) -> page.group())
                .map((key, group) -> KeyValue.pair(group, ONE))
                .groupByKey(Grouped.with("groups", Serdes.String(), Serdes.ByteArray()));
            count(groups, schema("count"), id);
        }
        return builder;
    }

    private static void enrich(KStream<byte[], byte[]> views, GlobalKTable<String, Page> pages,
            ThreadLocal<Codec> viewCodec, Schema schema, int id) {
        var rowCodec = ThreadLocal.withInitial(() -> new Codec(schema, id));
        // the join's key mapper leaves its decoded view in the codec; the joiner of the same record takes it from there
        views.leftJoin(pages, (key, view) -> viewCodec.get().decode(view).get("pageid").toString(), (view, page) -> {
            var decoded = viewCodec.get().reused;
            var row = new GenericData.Record(schema);
            row.put("viewtime", decoded.get("viewtime"));
            row.put("userid", decoded.get("userid"));
            row.put("pageid", decoded.get("pageid"));
            row.put("page_group", page == null ? null : page.group());
            row.put("page_name", page == null ? null : page.name());
            row.put("event_time_ms", 0L);
            row.put("origin_partition", 0);
            row.put("origin_offset", 0L);
            return rowCodec.get().encode(row);
        }).to(env("OUTPUT"), Produced.with(Serdes.ByteArray(), Serdes.ByteArray()));
    }

    private static void count(KGroupedStream<String, byte[]> groups, Schema schema, int id) {
        var grace = Duration.ofMillis(number("GRACE_MS"));
        var size = Duration.ofMillis(number("SIZE_MS"));
        KTable<Windowed<String>, Long> counts;
        boolean session = env("KIND").equals("session");
        if (session) {
            var gap = Duration.ofMillis(number("GAP_MS"));
            counts = groups.windowedBy(SessionWindows.ofInactivityGapAndGrace(gap, grace))
                .count(Materialized.with(Serdes.String(), Serdes.Long()));
        } else {
            var windows = TimeWindows.ofSizeAndGrace(size, grace);
            if (env("KIND").equals("hopping")) {
                windows = windows.advanceBy(Duration.ofMillis(number("ADVANCE_MS")));
            }
            counts = groups.windowedBy(windows).count(Materialized.with(Serdes.String(), Serdes.Long()));
        }
        var codec = ThreadLocal.withInitial(() -> new Codec(schema, id));
        counts.toStream().map((window, count) -> {
            var row = new GenericData.Record(schema);
            row.put("page_group", window.key());
            row.put("total_pageview", count == null ? 0L : count);
            row.put("window_start_ms", window.window().start());
            row.put("window_end_ms", window.window().end());
            row.put("retired", count == null);
            return KeyValue.pair(window.key().getBytes(StandardCharsets.UTF_8), codec.get().encode(row));
        }).to(env("OUTPUT"), Produced.with(Serdes.ByteArray(), Serdes.ByteArray()));
    }
}
