import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.kafka.common.utils.Exit;

/**
 * Runs Apache Kafka's command-line tools one after another in one process, because starting Java takes
 * longer than most of them: a request per line on stdin, an answer per line on stdout, both JSON. A tool
 * gets its own standard streams, and where it would end the process, its shutdown hooks run.
 */
public final class ToolRunner {
    /** A tool's main class, its arguments and its standard input. */
    public record Request(String tool, List<String> arguments, String stdin) { }

    /** How it ended, and what it said. */
    public record Answer(int code, String out, String err) { }

    /** Leaves a tool where it would have ended the process. */
    private static final class Exited extends Error {
        Exited() {
            super("the tool has ended", null, false, false);
        }
    }

    private static final AtomicReference<Integer> CODE = new AtomicReference<>();
    private static final List<Runnable> HOOKS = new CopyOnWriteArrayList<>();

    private ToolRunner() { }

    public static void main(String[] arguments) throws Exception {
        PrintStream answers = System.out;
        ObjectMapper json = new ObjectMapper();
        Exit.setExitProcedure((code, message) -> end(code));
        Exit.setHaltProcedure((code, message) -> end(code));
        Exit.setShutdownHookAdder((name, hook) -> HOOKS.add(hook));
        BufferedReader requests =
                new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = requests.readLine(); line != null; line = requests.readLine()) {
            Answer answer = run(json.readValue(line, Request.class));
            // Jackson escapes line ends, so that an answer is one line.
            answers.println(json.writeValueAsString(answer));
            answers.flush();
        }
        System.exit(0);
    }

    private static void end(int code) {
        // The first one counts: a tool that catches everything exits once more.
        CODE.compareAndSet(null, code);
        throw new Exited();
    }

    private static Answer run(Request request) throws Exception {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        ByteArrayOutputStream err = new ByteArrayOutputStream();
        System.setIn(new ByteArrayInputStream(request.stdin().getBytes(StandardCharsets.UTF_8)));
        System.setOut(new PrintStream(out, true, StandardCharsets.UTF_8));
        System.setErr(new PrintStream(err, true, StandardCharsets.UTF_8));
        CODE.set(null);
        HOOKS.clear();
        try {
            String[] arguments = request.arguments().toArray(new String[0]);
            Class.forName(request.tool()).getMethod("main", String[].class).invoke(null, (Object) arguments);
        } catch (InvocationTargetException thrown) {
            if (!(thrown.getCause() instanceof Exited)) {
                thrown.getCause().printStackTrace();
                CODE.compareAndSet(null, 1);
            }
        }
        for (Runnable hook : HOOKS) {
            hook.run();
        }
        Integer code = CODE.get();
        return new Answer(code == null ? 0 : code,
                out.toString(StandardCharsets.UTF_8), err.toString(StandardCharsets.UTF_8));
    }
}
