/** Entry of the one-file executable, on its primary thread: the allocator's setting first, then the program as a checkout runs it. */

import './allocator.ts'
import '../../src/main/index.ts'
