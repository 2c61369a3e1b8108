import java.io.BufferedOutputStream;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Says what a read_committed consumer sees, to whoever asks on a loopback port, which is printed first. One process
 * answers many questions: starting and compiling it takes longer than any answer.
 *
 * <p>A question is one line, its words separated by tabs, on a connection of its own:
 *
 * <ul>
 *   <li>records BOOTSTRAP TOPIC TIMEOUT_MS: each record from the beginning to the ends that the partitions have when
 *       the question comes, as a line of JSON; keys, values and header values are base64 or null;
 *   <li>summary BOOTSTRAP TOPIC TIMEOUT_MS: one line of counts;
 *   <li>ends BOOTSTRAP PREFIX: a line for each partition of every topic whose name begins so: topic, partition,
 *       begin, last stable offset, high watermark.
 * </ul>
 *
 * <p>The last line of an answer is "done" or "failed: REASON".
 */
public class CountReadCommitted {
    private static final int NAMED_DUPLICATES = 20;

    public static void main(String[] args) throws IOException {
        try (ServerSocket server = new ServerSocket(0, 50, InetAddress.getLoopbackAddress())) {
            System.out.println("port " + server.getLocalPort());
            while (true) {
                Socket socket = server.accept();
                new Thread(() -> serve(socket)).start();
            }
        }
    }

    private static void serve(Socket socket) {
        try (socket) {
            var in = new BufferedReader(new InputStreamReader(socket.getInputStream(), StandardCharsets.UTF_8));
            String question = in.readLine();
            if (question == null) {
                return;
            }
            PrintStream out = new PrintStream(
                    new BufferedOutputStream(socket.getOutputStream(), 1 << 16), false, StandardCharsets.UTF_8);
            try {
                answer(question.split("\t"), out);
                out.println("done");
            } catch (Exception e) {
                out.println("failed: " + String.valueOf(e.getMessage()).replace('\n', ' '));
            }
            out.flush();
        } catch (IOException e) {
            System.err.println(e);
        }
    }

    private static void answer(String[] words, PrintStream out) throws Exception {
        switch (words[0]) {
            case "records" -> read(words, record -> out.println(json(record)), out);
            case "summary" -> read(words, new Counts(), out);
            case "ends" -> allEnds(words[1], words[2], out);
            default -> throw new IllegalArgumentException("no such question: " + words[0]);
        }
    }

    private static void read(String[] words, Sink sink, PrintStream out) throws TooSlow {
        Map<TopicPartition, Long> high = ends(words[1], words[2], "read_uncommitted");
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(words[1], "read_committed")) {
            List<TopicPartition> partitions = partitions(consumer, words[2]);
            Map<TopicPartition, Long> begins = consumer.beginningOffsets(partitions);
            Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
            read(consumer, partitions, ends, Long.parseLong(words[3]), sink);
            if (sink instanceof Counts counts) {
                out.println(counts.json(partitions, begins, ends, high));
            }
        }
    }

    private static void allEnds(String bootstrap, String prefix, PrintStream out) {
        try (KafkaConsumer<byte[], byte[]> all = consumer(bootstrap, "read_uncommitted");
                KafkaConsumer<byte[], byte[]> committed = consumer(bootstrap, "read_committed")) {
            List<TopicPartition> partitions = all.listTopics().entrySet().stream()
                    .filter(entry -> entry.getKey().startsWith(prefix))
                    .flatMap(entry -> entry.getValue().stream())
                    .map(info -> new TopicPartition(info.topic(), info.partition()))
                    .sorted(Comparator.comparing(TopicPartition::topic).thenComparing(TopicPartition::partition))
                    .toList();
            Map<TopicPartition, Long> begins = all.beginningOffsets(partitions);
            Map<TopicPartition, Long> high = all.endOffsets(partitions);
            Map<TopicPartition, Long> stable = committed.endOffsets(partitions);
            for (TopicPartition p : partitions) {
                out.println(
                        p.topic() + " " + p.partition() + " " + begins.get(p) + " " + stable.get(p) + " " + high.get(p));
            }
        }
    }

    private static void read(
            KafkaConsumer<byte[], byte[]> consumer,
            List<TopicPartition> partitions,
            Map<TopicPartition, Long> ends,
            long timeoutMs,
            Sink sink)
            throws TooSlow {
        consumer.assign(partitions);
        consumer.seekToBeginning(partitions);
        long deadline = System.nanoTime() + timeoutMs * 1_000_000;
        // The position moves past aborted records and markers too, so it reaches the end in every case.
        while (partitions.stream().anyMatch(p -> consumer.position(p) < ends.get(p))) {
            if (System.nanoTime() > deadline) {
                String places = partitions.stream()
                        .map(p -> p.partition() + ": " + consumer.position(p) + " of " + ends.get(p))
                        .collect(Collectors.joining(", "));
                throw new TooSlow("not read within " + timeoutMs + " ms: partition " + places);
            }
            for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(200))) {
                if (record.offset() < ends.get(new TopicPartition(record.topic(), record.partition()))) {
                    sink.take(record);
                }
            }
        }
    }

    private static KafkaConsumer<byte[], byte[]> consumer(String bootstrap, String isolation) {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", bootstrap);
        properties.put("isolation.level", isolation);
        properties.put("enable.auto.commit", "false");
        properties.put("auto.offset.reset", "none");
        return new KafkaConsumer<>(properties, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    private static Map<TopicPartition, Long> ends(String bootstrap, String topic, String isolation) {
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(bootstrap, isolation)) {
            return consumer.endOffsets(partitions(consumer, topic));
        }
    }

    private static List<TopicPartition> partitions(KafkaConsumer<?, ?> consumer, String topic) {
        List<TopicPartition> partitions = consumer.partitionsFor(topic).stream()
                .map(info -> new TopicPartition(topic, info.partition()))
                .sorted((a, b) -> Integer.compare(a.partition(), b.partition()))
                .toList();
        if (partitions.isEmpty()) {
            throw new IllegalArgumentException("topic " + topic + " does not exist");
        }
        return partitions;
    }

    private static String json(ConsumerRecord<byte[], byte[]> record) {
        StringBuilder headers = new StringBuilder();
        for (Header header : record.headers()) {
            headers.append(headers.isEmpty() ? "" : ",");
            headers.append('[').append(quoted(header.key())).append(',').append(base64(header.value())).append(']');
        }
        return "{\"partition\":" + record.partition() + ",\"offset\":" + record.offset()
                + ",\"timestamp\":" + record.timestamp() + ",\"key\":" + base64(record.key())
                + ",\"value\":" + base64(record.value()) + ",\"headers\":[" + headers + "]}";
    }

    private static String base64(byte[] bytes) {
        return bytes == null ? "null" : '"' + Base64.getEncoder().encodeToString(bytes) + '"';
    }

    private static String quoted(String text) {
        StringBuilder quoted = new StringBuilder("\"");
        for (char c : text.toCharArray()) {
            if (c == '"' || c == '\\') {
                quoted.append('\\').append(c);
            } else if (c < ' ') {
                quoted.append(String.format("\\u%04x", (int) c));
            } else {
                quoted.append(c);
            }
        }
        return quoted.append('"').toString();
    }

    private interface Sink {
        void take(ConsumerRecord<byte[], byte[]> record);
    }

    private static final class TooSlow extends Exception {
        TooSlow(String message) {
            super(message);
        }
    }

    private static final class Counts implements Sink {
        private final Map<String, Integer> keys = new HashMap<>();
        private long records;
        private long nullKeys;

        @Override
        public void take(ConsumerRecord<byte[], byte[]> record) {
            records++;
            if (record.key() == null) {
                nullKeys++;
            } else {
                keys.merge(base64(record.key()), 1, Integer::sum);
            }
        }

        String json(
                List<TopicPartition> partitions,
                Map<TopicPartition, Long> begins,
                Map<TopicPartition, Long> ends,
                Map<TopicPartition, Long> high) {
            TreeMap<String, Integer> duplicates = new TreeMap<>(keys);
            duplicates.values().removeIf(count -> count == 1);
            String named = duplicates.entrySet().stream()
                    .limit(NAMED_DUPLICATES)
                    .map(entry -> entry.getKey() + ":" + entry.getValue())
                    .collect(Collectors.joining(","));
            String ranges = partitions.stream()
                    .map(p -> "{\"partition\":" + p.partition() + ",\"begin\":" + begins.get(p) + ",\"end\":"
                            + ends.get(p) + ",\"high_watermark\":" + Math.max(high.get(p), ends.get(p)) + "}")
                    .collect(Collectors.joining(","));
            return "{\"records\":" + records + ",\"null_keys\":" + nullKeys + ",\"keys\":" + keys.size()
                    + ",\"duplicate_keys\":" + duplicates.size() + ",\"duplicates\":{" + named
                    + "},\"partitions\":[" + ranges + "]}";
        }
    }
}
