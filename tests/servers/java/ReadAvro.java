import java.io.File;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.util.Arrays;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.message.BinaryMessageDecoder;
import org.apache.avro.message.BinaryMessageEncoder;

/**
 * Reads Avro with Apache's own Java library: for every NAME.avsc in the directory it decodes the record in NAME.bin
 * (single-object encoding, so the fingerprint is checked too), prints one line of JSON {"name": NAME, "value": ...},
 * and writes the record anew to NAME.java.bin.
 *
 * <p>java -cp "JARS/*" ReadAvro.java DIRECTORY
 */
public final class ReadAvro {
  public static void main(String[] arguments) throws Exception {
    if (arguments.length != 1) {
      System.err.println("usage: ReadAvro DIRECTORY");
      System.exit(2);
    }
    File directory = new File(arguments[0]);
    File[] schemas = directory.listFiles((parent, file) -> file.endsWith(".avsc"));
    if (schemas == null) {
      throw new IllegalArgumentException("not a directory: " + directory);
    }
    Arrays.sort(schemas);
    for (File file : schemas) {
      read(directory, file);
    }
  }

  private static void read(File directory, File file) throws Exception {
    String name = file.getName().substring(0, file.getName().length() - ".avsc".length());
    Schema schema = new Schema.Parser().parse(file);
    byte[] bytes = Files.readAllBytes(directory.toPath().resolve(name + ".bin"));
    GenericRecord record =
        new BinaryMessageDecoder<GenericRecord>(GenericData.get(), schema).decode(bytes);
    System.out.println("{\"name\": \"" + name + "\", \"value\": " + record + "}");
    ByteBuffer anew =
        new BinaryMessageEncoder<GenericRecord>(GenericData.get(), schema).encode(record);
    byte[] written = new byte[anew.remaining()];
    anew.get(written);
    Files.write(directory.toPath().resolve(name + ".java.bin"), written);
  }
}
