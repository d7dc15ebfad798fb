"""The wording of the cues: what counts as thanks, praise, a correction, in case-folded English.

Patterns only; which context lets them count is decided in
:mod:`~gpa_agent.understanding.cues`.
"""

from __future__ import annotations

STRONG = (
    "perfect|perfectly|awesome|excellent|amazing|wonderful|fantastic|"
    "brilliant|great|incredible|superb|lovely|"
    "beautiful|terrific|outstanding|impressive|delightful|fabulous|helpful|useful|ideal|"
    "exactly|phenomenal|marvelous|spot on|top notch|flawless|gorgeous|stunning"
)
MILD = (
    "good|nice|cool|fine|interesting|fun|sweet|clever|solid|neat|clear|"
    "clearer|better|handy|funny|not (?:too |so |half )?bad"
)
DEGREE = (
    r"(?:really |so |very |pretty |just |absolutely |all |super |quite "
    r"|such an? |like an? |an? |much |too |truly |that |even |totally "
    r"|definitely |certainly )*"
)
SUBJECT = r"(?:that|this|it|they|those|these|which|both|everything|he|she|you|your \w+|the \w+)"
OPENERS = (
    r"^\W*(?:(?:oh|ok|okay|yes|yeah|yep|wow|well|ah|alright|hey|haha|"
    r"hmm|no|cool|and|i think|i guess|then|now|good)\W+)*"
)
THANKS = (
    r"\b(?:thank(?:s| ?you| u)?|thx|thnx|tysm|ty|cheers|merci|gracias|"
    r"danke|grazie|obrigad[oa]|appreciate[ds]?|grateful|much obliged)\b"
)
HOLLOW = (
    r"\bthanks? (?:you )?for (?:nothing|wasting|the useless|not )|\bno,? "
    r"thank|\bthanks? (?:you )?(?:anyway|anyways)|"
    r"\b(?:thanks?|appreciate)\b.{0,40}\bbut\b|\bdo(?:n't| not) thank"
)
SARCASM = (
    r"\bthanks? (?:you )?for (?:nothing|wasting|the useless|not )|\byeah,? "
    r"right\b|\bnice try\b|\bas if\b|"
    r"\b(?:oh )?(?:great|wonderful|perfect|fantastic|awesome|brilliant|"
    r"lovely)\W+(?:now|another|yet another|more|even more|so now|just "
    r"what i needed)\b|"
    r"\bjust great\b|\bwow\W+(?:so|how|very|real|really) (?:helpful|"
    r"useful|smart|clever)|\bhow (?:helpful|useful|convenient) of you|"
    r"\bgood job (?:breaking|ruining|ignoring|missing|forgetting|not)|"
    r"\b(?:way to go|bravo|congratulations),? (?:you|it|genius|now)\b|"
    r"\bvery (?:helpful|funny|useful)\W+not\b|\btell me something i "
    r"don't know|\bwhat a (?:joke|surprise)\b|"
    r"\b(?:great|good|perfect|amazing|impressive)\W+(?:it |you |that "
    r"|and |except |if )+(?:still |just )?(?:broke|deleted|lost|ignored|"
    r"forgot|fails?|failed|crash\w*|made it worse|doesn't|don't|didn't)"
)
PRAISE = (
    rf"{OPENERS}(?:{SUBJECT}(?:'s|'re| is| are| was| were| sounds?| looks?|"
    r" seems?| works?| would be| will be| feels?) )?"
    rf"(?:sounds? |looks? |seems? |works? )?{DEGREE}(?:%s)(?=\W*$|\W*[,;:-]|"
    r"\s*(?:!|and |thank|so |at all|for me|with me|to me|i |that|this|"
    r"then|now|one\b|as |you|actually|again|job|work|answer|idea|suggestion|"
    r"choice|explanation|help|point|list|response|recommendation|option|"
    r"advice|tip|pick|find|movie|film|stuff|news|call|thinking|example|"
    r"summary))"
    rf"|\b{SUBJECT}(?:'s|'re| is| are| was| were| sounds?| looks?| seems?|"
    rf" works?| would be| will be)(?: to me)? {DEGREE}(?:%s)\b"
    r"|\b(?:%s) (?:job|work|answer|idea|suggestion|choice|explanation|"
    r"help|point|response|recommendation|advice|tip)s?\b"
    r"|\b(?:sounds?|looks?|works?|seems?) (?:really |so |very |pretty |like an? )?(?:%s)\b"
)
WISHES = (
    r"\bgood (?:morning|afternoon|evening|day|night|bye|luck|for (?:kids|"
    r"a ))|\b(?:any|some|an?) (?:\w+ )?(?:good|great|nice|cool|interesting|"
    r"funny|fun) \w+.*\?|\b(?:looking for|recommend|suggest|i need|i "
    r"want|i'd like|find|prefer|give me|show me)\b"
)
YES = (
    r"(?:yes|yeah|yep|yup|sure|ya|yea|absolutely|definitely|of course|"
    r"certainly|indeed|correct|right|exactly|affirmative|that'?s (?:right|"
    r"correct|it|the one)|that is (?:right|correct)|it is|i do|i have|"
    r"sounds? (?:right|correct)|that would be correct|si)\b"
)
NO = (
    r"(?:no|nope|nah|naw|negative|not (?:really|now|yet|today|right "
    r"now|at (?:this|the) (?:time|moment)|quite|exactly|this time|that "
    r"one|for me))\b"
)
IDLE_NO = (
    r"\bno (?:problem|worries|doubt|idea|rush|preference|need|matter|"
    r"way|clue|joke|wonder|more|other|one)\b"
)
ENDS = (
    r"\b(?:that'?s|that is|that will be|that'll be|that would be|this "
    r"is) (?:all|it|everything|enough)\b|\bnothing (?:else|more|further)?\b(?!.*\?)|"
    r"\bi(?:'m| am) (?:good|done|fine|all set|ok|okay)\b|\ball (?:i "
    r"need|set|good|done)\b|\bno,? (?:that|this)(?:'s| is| was| will)\b.*\b(?:all|"
    r"it|everything)\b|"
    r"\bnot (?:right now|now|at the moment),? thank|\bno more\b|\bi "
    r"think (?:we're|that's) (?:done|it|all)|\bi(?:'m| am) all (?:set|"
    r"good)"
)
FAREWELL = (
    r"\b(?:good ?bye|bye|see (?:you|ya)|take care|have a (?:\w+ )?(?:good|"
    r"great|nice|lovely|wonderful|blessed|fantastic|awesome|fun)|good "
    r"(?:night|day|evening)|"
    r"(?:catch|talk to|see) you (?:later|soon)|you too|you as well|same "
    r"to you|enjoy (?:your|the)|ttyl|cya|farewell|until next time)\b"
)
ACCEPTS = (
    r"\b(?:that|this|it|which|either|both|those|they|10|\d+|that one|"
    r"this one|any of (?:those|them)) (?:will |would |should |'ll )?(?:works?|"
    r"do|does it|suits?|fits)\b|\bworks? for me\b|"
    r"\bi(?:'ll| will|'d| would| wanna| want to| think i'll| think i "
    r"will) (?:take|go with|have|get|book|try|do|buy|choose|pick|use|"
    r"love|definitely|like (?:that|to (?:book|buy|reserve|see|go with|"
    r"get|make|take)))\b|"
    r"\blet'?s (?:do|go|try|book|take|get|start|use|see (?:it|that))\b|"
    r"\bgo (?:ahead|for it|with)\b|\b(?:book|reserve|buy|play|send|do|"
    r"get|take|add|schedule) (?:it|that|them|this)(?: one)?\b|"
    r"\bsounds? (?:good|great|fine|perfect|nice|like (?:a plan|fun|what|"
    r"something)|right|interesting|awesome|amazing|lovely|cool|fun|excellent|"
    r"wonderful|delicious|fantastic)\b|\bthat'?s (?:fine|perfect|the "
    r"one|okay|ok)\b|"
    r"\bplease do\b|\byes,? please\b|\bsure,? (?:please|go|why not|thing)\b|"
    r"\bi(?:'m| am) (?:in|happy with|okay with|fine with|ok with|good "
    r"with|interested)\b|\b(?:i )?like (?:that|this|it|the sound|those)\b|"
    r"\bwhy not\b|\b(?:count me in|deal|agreed|i agree)\b|\bfair enough\b|\bconfirmed?\b"
)
BLOCK_NO = (
    r"\b(?:no|nope|nah|don't|do not|not|doesn't|won't|wouldn't|didn't|can't|cannot|but|instead)\b"
)
UPTAKE = (
    r"\bi(?:'ll| will| am going to|'m going to| might| may| should| "
    r"can| definitely need to| need to|'m gonna| gotta|'d have to|'ll "
    r"have to| will have to|'ll definitely| will definitely)(?: \w+){0,3} "
    r"(?:check|look|watch|see|try|read|give|add|google|rent|listen|apply|"
    r"test|use|start|keep|find|remember|put|queue|search)\b|\bcheck "
    r"(?:it|that|them|those|this) out\b|\b(?:adding|added) (?:it|that|"
    r"them)\b|"
    r"\b(?:on|to) my (?:list|queue|watchlist)\b|\bi(?:'ve| have)? (?:been "
    r")?(?:want(?:ed|ing)? to|meaning to) (?:see|watch|try|read)|\blooking "
    r"forward\b|\bcan'?t wait\b|\bwill do\b|\bexcited (?:to|for|about)\b"
)
FONDNESS = (
    r"\bi(?:'ve)?(?: really| also| absolutely| did| do| just| too| actually|"
    r" always)* (?:love|loved|like|liked|enjoy|enjoyed|adore|adored)\b|"
    r"\b(?:my|a|all time|one of my) (?:\w+ )?favou?rites?\b|\bme too\b|"
    r"\bi(?:'m| am) a (?:big |huge )?fan\b|"
    r"\bbig fan\b|\b(?:love|loved) (?:it|that|this|them|him|her|those)\b|"
    r"\b(?:it|that|they|he|she) (?:was|were|is) (?:so |really |very "
    r"|pretty |such a |a )*(?:good|great|funny|hilarious|amazing|awesome|"
    r"excellent|cute|classic|fun|interesting|nice|scary good)\b"
)
LEARNS = (
    r"\b(?:now i|i now) (?:see|get|understand|know)\b|\bmakes? (?:a "
    r"lot of |perfect |total |much |more |complete )?sense\b|\bi (?:see|"
    r"get it)\b|\bgot it\b|\bgotcha\b|\bunderstood\b|\bdid(?:n't| not) "
    r"know (?:that|about|this|it|there)\b|\bi(?:'ve)? learn(?:ed|t)\b|"
    r"\b(?:that )?clears (?:it|that|things) up\b|"
    r"\bthat explains\b|\btil\b|\bgood to know\b|\baha\b|\bnoted\b|\bthat'?s "
    r"(?:what i|exactly what i) (?:wanted|needed|was looking for|meant|"
    r"thought)\b|\bjust what i (?:wanted|needed|was looking)|\bwhat "
    r"i (?:was looking for|needed|wanted)\b"
)
SOLVED = (
    r"\b(?:it|that|this|everything|now it|the \w+)(?: now| finally| "
    r"all| totally)? (?:work(?:s|ed)|did (?:it|the trick)|fixed (?:it|"
    r"that|the|my)|solved (?:it|the|my)|helped|helps|runs|compiles|passes)\b|"
    r"\b(?:works?|working|worked|runs|compiles) (?:now|perfectly|fine|"
    r"great|well|like a charm|as expected|beautifully)\b|"
    r"\b(?:problem|issue|bug|error) (?:is )?(?:solved|fixed|resolved|"
    r"gone|went away)\b|\b(?:you )?(?:saved|made) (?:me|my)\b|\bfixed\b[.!]*$|"
    r"\bthe (?:error|problem|issue) (?:is gone|disappeared|went away)|"
    r"\btests? (?:all )?pass(?:es)?\b|\ball green\b"
)
CORRECTS = (
    r"\bi (?:meant|mean|said|asked|wanted|was asking|was looking|had "
    r"asked|specifically)\b|\bthat'?s (?:not|wrong|incorrect|false|untrue)\b|"
    r"\b(?:is|was|are|were|isn't|you're|you are|it's|this is|looks|seems|"
    r"totally|completely|plain|just) (?:totally |completely |still |"
    r"quite |simply )?(?:wrong|incorrect|mistaken|inaccurate|outdated|"
    r"false|not (?:right|correct|true|what))\b|^\W*(?:wrong|incorrect)\b|"
    r"\bnot what i\b|\bshould (?:be|have been|say)\b|\byou (?:misunderstood|"
    r"forgot|missed|ignored|misread|skipped|made (?:a mistake|an error|"
    r"that up|it up))\b|\binstead\b|\bi did(?:n't| not) (?:ask|say|mean|"
    r"want)\b|\bi(?:'d| would) (?:rather|prefer)\b|\brather than\b|\bchange "
    r"(?:it|that|the|this|my)\b|"
    r"\bmake (?:it|that) (?:for )?(?:\d|one|two|three|four|five|six|"
    r"at|on)\b|\bactually\b|\b(?:are you sure|you sure|really\?)|\bthere "
    r"is no such\b|\bdoesn'?t exist\b|\bhallucinat|\bnot \w+ but\b|\bwrong "
    r"(?:\w+)\b|\bcorrect (?:that|it|yourself)\b"
)
COMPLAINS = (
    r"\b(?:does(?:n't| not)|did(?:n't| not)|won't|still (?:doesn't|does "
    r"not|isn't|is not|not|won't|no|didn't)|is(?:n't| not)|not) (?:\w+ "
    r")?(?:work|working|help|helping|helpful|useful|answer|compile|run|"
    r"fix|solve|load|make (?:any )?sense|match|good enough|what i)\b|"
    r"\bsame (?:error|problem|issue|thing|result|mistake|answer)\b|"
    r"\bstill (?:fail\w*|broken|wrong|getting|get|have|the same|error\w*|"
    r"crash\w*|show\w*|too|a bit|confus\w*|stuck)\b|\b(?:useless|terrible|"
    r"awful|horrible|bad|worse|worst|poor|garbage|rubbish|nonsense|pointless|"
    r"unhelpful|disappoint\w*|ridiculous|lame|stupid|crap\w*|sucks?|"
    r"mediocre|generic|vague|shallow|bland|robotic|misleading|waste "
    r"of time|unacceptable)\b|"
    r"\b(?:too|overly|way too|bit|little) (?:long|short|complicated|"
    r"complex|technical|vague|generic|basic|simple|formal|informal|wordy|"
    r"verbose|expensive|far|late|early|slow|general|advanced|short|scary|"
    r"violent|old|high|low|much|many|pricey|detailed|cheesy|dry)\b|\b(?:new|"
    r"another|now (?:an?|i get)|got an?|get an?|gives? (?:me )?an?|throws?(?: "
    r"an?)?) (?:\w+ )?(?:error|exception|traceback|warning)\b|"
    r"\b(?:broke|breaks) (?:it|the|my|everything|again)\b|\bit (?:just "
    r"|now |always )?(?:crash(?:es|ed)|breaks|broke|fails)\b|\bmakes "
    r"no sense\b|\bno (?:use|help|good)\b|\bnot (?:very |really |that "
    r"|so |too |particularly |at all )?(?:good|great|helpful|useful|"
    r"nice|funny|clear|interesting|enough|accurate|relevant|right|correct|"
    r"impressed|happy|satisfied|ideal|convincing|true)\b|\b(?:isn't|"
    r"wasn't|aren't|is not|was not) (?:\w+ )?(?:good|great|helpful|useful|"
    r"clear|enough|funny|relevant|right|correct|true|it)\b|\bworked? "
    r"(?:worse|badly)"
)
COMPLAIN_BLOCK = (
    r"\bnot (?:bad|too bad|a bad)\b|\bno (?:good )?idea\b|\bnot (?:only|"
    r"just|sure)\b|\b(?:feel|feeling|felt|weather|so|too) bad\b|\bmy "
    r"(?:code|program|app|test|laptop|phone|script)\b.*(?:doesn't|does "
    r"not|isn't|crash|error).*(?:how|why|what|help)|\bbad (?:boys|moms|"
    r"guys|weather)\b|\b(?:worse|worst) case\b"
)
DISLIKES = (
    r"\b(?:i )?(?:really |just )?(?:do(?:n't| not)|did(?:n't| not)|dont|"
    r"didnt|never|not) (?:really |much |particularly |even |usually "
    r"|actually |quite |think i(?:'d| would) )*(?:like|love|enjoy|care "
    r"(?:for|about)|want|need|fancy|appreciate|wanna)\b|\b(?:hate|hated|"
    r"dislike|disliked|detest|loathe|despise|can't stand|cannot stand)\b|"
    r"\bnot (?:really |quite |exactly |much of )?(?:a (?:big |huge )?fan|"
    r"my (?:thing|type|taste|style|cup|kind|favorite|favourite)|into|"
    r"for me|interested|a good fit|in the mood|the one|something i)\b|"
    r"\b(?:boring|overrated|not scary|not interested|wasn't (?:great|"
    r"good|for me|a fan|impressed|my)|isn't (?:for me|my)|doesn't (?:suit|"
    r"sound|look|appeal|interest|fit)|does not (?:suit|sound|look|appeal|"
    r"fit)|didn't do it for me|not appealing|don't think (?:so|that|"
    r"it|i))\b|\bi(?:'d| would) (?:rather not|prefer not|skip|pass)\b|"
    r"\bi(?:'ll| will) pass\b|\b(?:hard )?pass[.!]*$"
)
STOPS = (
    r"^\W*(?:(?:no|nope|nah)\W+)?(?:do(?:n't| not)|stop|cancel|hold "
    r"off|hold on|wait|leave it|skip|not now|not yet|not right|i(?:'ll|"
    r" will) (?:do (?:it|that) later|decide later|hold off))\b|\b(?:don't|"
    r"do not) (?:do|book|buy|reserve|play|make|schedule|purchase|transfer|"
    r"add|proceed|go)\b|\b(?:i )?do(?:n't| not) (?:wish|want|need|have "
    r"time) to\b"
)
OTHERS = (
    r"\b(?:an?other|others|other (?:options?|ones?|places?|kinds?|movies?|"
    r"choices?|ideas?|suggestions?|than|times?|restaurants?|flights?|"
    r"hotels?|ways?|approach\w*)|something (?:else|different|more|less|"
    r"cheaper|newer|like)|anything (?:else|other|different|more|cheaper|"
    r"newer|like)|different (?:\w+)|somewhere else|someone else|any "
    r"?one else|elsewhere|alternatives?|what else|who else|else is|else "
    r"do you|any more|more options|some more|next one|a better|better "
    r"one|cheaper|anything (?:a bit|a little)|look some more|keep looking)\b"
)
OTHERS_BLOCK = (
    r"\b(?:each other|other than that|nothing else|not need anything "
    r"else|don't need any(?:thing)? (?:else|more)|that'?s (?:all|it))\b"
)
REDO = (
    r"\b(?:try (?:it |that |this )?(?:again|once more|another|a different)|"
    r"redo|rewrite|re-?do|regenerate|rephrase|reword|start over|do it "
    r"again|do over|once more|one more time|again,? (?:but|please|with|"
    r"without|this time)|shorter|shorten|simpler|simplify|more (?:detail\w*|"
    r"specific|concise|formal|casual|natural|precise|simply|readable|"
    r"examples?)|less (?:formal|technical|wordy|verbose|complicated)|"
    r"cut (?:it|that) down|"
    r"(?:explain|say|write|put|answer) (?:it |that |this )?(?:again|"
    r"differently|like i'm|more|in (?:simpler?|plain|layman|other|easier|"
    r"normal)|simply)|in (?:plain|simple|simpler|layman'?s) (?:english|"
    r"terms|words|language)|dumb it down|eli5|tone it down|be more|fix "
    r"(?:it|that|this|your)|remove the|without the|you can do better|"
    r"read (?:it|my|the) (?:again|question|message))\b"
)
CONFUSED = (
    r"\b(?:i )?(?:still |really |just )?(?:do(?:n't| not)|dont|didn't|"
    r"did not|can't|cannot) (?:quite |really |fully |actually )?(?:understand|"
    r"get (?:it|this|that|what|how|why)|follow|see (?:how|why|what|the)|"
    r"grasp|make sense of)\b|\bwhat (?:do|did|does) (?:you|that|this|"
    r"it) (?:even )?mean\b|\b(?:i'm|i am|that'?s|this is|still|very|"
    r"so|now i'm|bit|me) (?:\w+ )?(?:confus(?:ed|ing)|lost|puzzled)\b|"
    r"^\W*(?:huh|what|wait,? what|come again|pardon|excuse me|sorry)\W*\?|"
    r"\bno idea what you|\bover my head\b|\bnot (?:sure|clear) (?:what|"
    r"how|why|i (?:follow|understand|get))|\bunclear\b|\bwhat are you "
    r"talking about\b|\b(?:lost|confused) me\b"
)
KNOWN = (
    r"\b(?:already|have|i've|i) (?:already |both |all of )?(?:seen|saw|"
    r"watched|tried|did|done|know|knew|read|have|had|own|been there|"
    r"heard|told you|said|mentioned)\b.*\balready\b|\balready (?:seen|"
    r"saw|watched|tried|did|done|know|knew|read|have|had|own|been|heard|"
    r"told|said|mentioned|asked|gave|explained)\b|\bi (?:just )?told "
    r"you\b|\b(?:as|like) i said\b|\bi just (?:said|asked|told|saw)\b|"
    r"\bseen (?:that|it|them|both|those)\b"
)
UNKNOWN = (
    r"\b(?:haven't|have not|havent|never|haven't even|didn't|did not|"
    r"hasn't) (?:really |actually |even |ever )?(?:seen|heard|watched|"
    r"tried|read|been|watch|see|hear|used)\b|\bnot (?:familiar|heard|"
    r"seen)\b|\bdon't (?:know|think i know|recognize|think i've|remember)\b|"
    r"\b(?:not sure|unsure|i guess|maybe|perhaps|hmm+|idk|dunno|we'll "
    r"see)\b"
)
GIVES_UP = (
    r"\b(?:never ?mind|nvm|forget (?:it|about it|that)|i give up|giving "
    r"up|whatever|don't bother|drop it|i(?:'ll| will) (?:just )?(?:do "
    r"it myself|figure it out|google it|look elsewhere|ask (?:someone|"
    r"a|my)|use (?:something|another)|find (?:it|one) myself|call them)|"
    r"this is (?:hopeless|pointless|going nowhere)|(?:we're|you're) "
    r"(?:getting|going) nowhere|let'?s (?:move on|stop)|i(?:'m| am) "
    r"done with|too bad|oh well|that's (?:unfortunate|too bad|a shame|"
    r"a pity|disappointing)|bummer|shame)\b"
)
FRUSTRATED = (
    r"\b(?:ugh+|argh+|grr+|wtf|wth|omfg|ffs|smh|for (?:god's|heaven's|"
    r"the last|the (?:third|fifth|tenth|hundredth)) (?:sake|time)|come "
    r"on|seriously|are you kidding|are you serious|how (?:hard|difficult) "
    r"(?:is|can)|how many times|damn|dammit|shit|bullshit|fuck\w*|hell|"
    r"idiot|dumb|annoy\w*|frustrat\w*|angry|mad at|sick of|tired of|"
    r"fed up|keep (?:getting|saying|giving|repeating|making)|can't you|"
    r"why (?:can't|won't|don't|do) you|listen to me|pay attention|you "
    r"(?:keep|never|always|clearly))\b|\?!|!\?|\?{3,}"
)
DELIGHT = (
    r"\b(?:wow|woah|whoa|haha+|hehe+|lol|lmao|rofl|yay|omg|woo+|hooray|"
    r"hurray|yess+|sweet|oo+h|aww+|ha)\b|!!+"
)
REQUESTS = (
    r"^\W*(?:(?:ok|okay|and|also|then|now|next|please|hi|hello|hey|yes|"
    r"great|thanks|so|alright|well)\W+)*(?:can|could|would|will|do|does|"
    r"is|are|what|which|who|how|where|when|why|find|show|give|tell|i "
    r"want|i need|i'd like|i would like|i'm looking|i am looking|help|"
    r"write|make|create|list|search|book|get|play|check|explain|let "
    r"me|may i|did|has|have you|any)\b"
)
BUILDS = (
    r"^\W*(?:(?:ok|okay|great|nice|cool|thanks|yes|good|perfect|interesting)\W+)*(?:and|"
    r"also|what about|how about|can you also|could you also|next|now|"
    r"then|in that case|so|one more|do they|does it|is it|is there|are "
    r"there|what'?s (?:the|their|its)|what (?:is|are) (?:the|their|its)|"
    r"where (?:is|are)|how (?:much|many|long|far|do i)|who (?:is|was|"
    r"are)|when (?:is|does|do))\b"
)
GREETS = (
    r"^\W*(?:hi|hello|hey|hiya|greetings|good (?:morning|afternoon|evening)|howdy)\b(?! ya that)"
)
