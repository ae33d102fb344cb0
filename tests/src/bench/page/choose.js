// Loads the script of a bench: `/?network` is the one over hard networks.
'use strict';

const bench = document.createElement('script');
bench.src = `${location.search.slice(1) || 'bench'}.js`;
document.head.append(bench);
